"""Table sets and plans for benchmarks.planner: a ladder for memory, families for speed, and those that calibrate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RANKS = 2
POOL = 6  # batches drawn beforehand and used in turns
_STEPS = 12  # of each plan whose speed is compared
NARROWEST = 8  # columns of a column shard


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """Tables by name: (rows, width, kind of feature, length). A ``sequence`` has a target on the same table.

    The kind is id, bag or sequence, as in schema.yaml; length is that of every bag and sequence.
    """

    tables: Mapping[str, tuple[int, int, str, int]]
    batch_size: int = 1024
    optimizer: str = "rowwise_adagrad"

    def schema(self) -> dict[str, Any]:
        """As schema.yaml says it."""
        tables = {n: {"num_embeddings": rows, "embedding_dim": width} for n, (rows, width, *_) in self.tables.items()}
        features: list[dict[str, Any]] = []
        for name, (_, _, kind, length) in self.tables.items():
            if kind == "sequence":
                features.append({"name": f"{name}_target", "kind": "id", "table": name})
                target = {"target": f"{name}_target", "max_length": length}
                features.append({"name": name, "kind": "sequence", "table": name, **target})
            elif kind == "bag":
                features.append({"name": name, "kind": "bag", "table": name, "max_length": length, "pooling": "sum"})
            else:
                features.append({"name": name, "kind": "id", "table": name})
        if not any(f["kind"] == "id" for f in features):  # a schema names an item
            tables["any"] = {"num_embeddings": 1000, "embedding_dim": 16}
            features.append({"name": "any", "kind": "id", "table": "any"})
        first = next(f["name"] for f in features if f["kind"] == "id")
        return {"tables": tables, "features": features, "target": first}

    def lengths(self) -> dict[str, float]:
        """Feature -> ids a row."""
        return {name: float(length) for name, (_, _, kind, length) in self.tables.items() if kind != "id"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A set of tables under one plan.

    types  table -> sharding type that it must have
    every  sharding type of all other tables; None leaves it to the planner
    steps  of training that are measured
    """

    name: str
    tables: TableSet
    types: Mapping[str, str] = field(default_factory=dict)
    every: str | None = None
    steps: int = 40

    def settings(self) -> dict[str, Any]:
        """The run's config."""
        names = list(self.tables.schema()["tables"]) if self.every else []
        types = {**dict.fromkeys(names, self.every), **self.types}
        given = {name: {"sharding_types": [t], "min_partition": NARROWEST} for name, t in types.items()}
        return {
            "data": {"path": "none", "batch_size": self.tables.batch_size, "eval_batch_size": 1, "prefetch": POOL},
            "model": {"over_arch": [64], "attention": {"hidden": [16]}},
            "sparse_optimizer": {"name": self.tables.optimizer},
            "sharding": {"tables": given},
            "train": {"warmup_steps": 0},
            "process": {"threads": 1, "device": "cpu"},
        }


def _many(count: int, rows: int, width: int, kind: str = "id", length: int = 1) -> dict[str, tuple[int, int, str, int]]:
    return {f"{kind}{rows // 1000}k{width}_{i}": (rows, width, kind, length) for i in range(count)}


def memory_ladder() -> list[Case]:
    """From tables that hardly count beside the process to tables that are all of it."""
    small = TableSet(tables=_many(8, 50_000, 16))
    mixed = TableSet(tables={**_many(6, 1_000_000, 16), **_many(6, 200_000, 32, "bag", 5)})
    history = TableSet(tables={"item": (4_000_000, 16, "sequence", 50)}, optimizer="adagrad")
    wide = TableSet(tables={"wide": (4_000_000, 64, "bag", 5)})
    lopsided = TableSet(tables={"big": (20_000_000, 16, "id", 1), **_many(3, 500_000, 16)})
    large = TableSet(tables={"item": (50_000_000, 16, "id", 1)})
    return [
        Case(name="8 small tables", tables=small),
        Case(name="12 tables, mixed", tables=mixed),
        Case(name="a sequence of 4 M x 16, adagrad", tables=history, types={"item": "row_wise"}, steps=80),
        Case(name="4 M x 64 by columns", tables=wide, types={"wide": "column_wise"}),
        Case(name="1 M x 16, replicated", tables=TableSet(tables=_many(2, 500_000, 16)), every="data_parallel"),
        Case(name="20 M x 16 on one rank", tables=lopsided, types={"big": "table_wise"}),
        Case(name="50 M x 16 over two ranks", tables=large, types={"item": "row_wise"}),
    ]


def speed_families() -> dict[str, list[Case]]:
    """Each family: one set of tables under several plans, which are compared with each other."""
    families = {}
    sets = {
        "20 ids": TableSet(tables=_many(20, 100_000, 16), batch_size=2048),
        "bags of 20, width 64": TableSet(tables=_many(6, 200_000, 64, "bag", 20)),
        "a history of 50": TableSet(tables={"item": (200_000, 16, "sequence", 50), **_many(4, 100_000, 16)}),
        "one heavy bag": TableSet(tables={"heavy": (500_000, 32, "bag", 60), **_many(8, 50_000, 32)}),
        "large batch of wide ids": TableSet(tables=_many(6, 50_000, 128), batch_size=4096),
    }
    for name, tables in sets.items():
        bags = all(kind != "sequence" for *_, kind, _ in tables.tables.values())
        types = ["table_wise", "row_wise", "column_wise"] + (["data_parallel"] if bags else [])
        cases = [Case(name=t, tables=tables, every=t, steps=_STEPS) for t in types]
        first = next(iter(tables.tables))
        mixed = f"{first} row_wise, others table_wise"
        cases.append(Case(name=mixed, tables=tables, every="table_wise", types={first: "row_wise"}, steps=_STEPS))
        cases.append(Case(name="planner's", tables=tables, steps=_STEPS))
        families[name] = cases
    return families


def calibration() -> list[Case]:
    """Sets unlike those of the ladder and the families, so that both are predictions."""
    ids = TableSet(tables=_many(10, 80_000, 32), batch_size=1024)
    bags = TableSet(tables=_many(4, 150_000, 16, "bag", 40), batch_size=1024)
    wide = TableSet(tables=_many(3, 60_000, 96, "bag", 8), batch_size=2048)
    history = TableSet(tables={"item": (150_000, 32, "sequence", 30), "user": (50_000, 32, "id", 1)}, batch_size=1024)
    little = TableSet(tables=_many(2, 10_000, 8), batch_size=256)
    types = ("table_wise", "row_wise", "column_wise")
    cases = [
        Case(name=f"{name}, {sharding_type}", tables=tables, every=sharding_type)
        for name, tables in {"ids": ids, "bags": bags, "wide": wide, "history": history, "little": little}.items()
        for sharding_type in (*types, *(("data_parallel",) if name != "history" else ()))
    ]
    cases.append(Case(name="two kinds", tables=ids, every="table_wise", types={next(iter(ids.tables)): "row_wise"}))
    return cases
