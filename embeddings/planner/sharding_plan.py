"""A plan as plain data, and plan.json: written, read back, and held against a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic_file import atomic_write
from embeddings.errors import InputError, nearest
from embeddings.planner.frozen_placement import PLACEMENTS
from embeddings.planner.planner_input import Problem, Table
from embeddings.planner.shard_layout import CUTS_COLUMNS, PLACES, cut, possible_types

VERSION = 1
_AGAIN = "plan again: python -m embeddings.plan"
_KERNELS = {"cpu": ("fused",), "cuda": ("fused", "fused_uvm", "fused_uvm_caching")}


@dataclass(frozen=True)
class Placed:
    """One table's place.

    shards  int64 [S, 5]: first row, first column, rows, columns, rank. data_parallel: the whole table on every rank.
    """

    module: str
    sharding_type: str
    compute_kernel: str
    shards: np.ndarray

    @property
    def ranks(self) -> list[int]:
        return [int(r) for r in self.shards[:, 4]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placed):
            return NotImplemented
        same = (self.module, self.sharding_type, self.compute_kernel)
        return same == (other.module, other.sharding_type, other.compute_kernel) and np.array_equal(
            self.shards, other.shards
        )


@dataclass(frozen=True)
class Plan:
    """Which rank holds which part of which table, for one world size, and where frozen tables live.

    tables  by name
    frozen  modality -> replicated, host or row_wise
    """

    world_size: int
    ranks_of_host: int
    device: str
    batch_size: int
    tables: Mapping[str, Placed]
    frozen: Mapping[str, str]


def plan_as_dict(plan: Plan) -> dict[str, Any]:
    """``plan`` as JSON data; ``plan_from_dict`` is the inverse."""
    return {
        "version": VERSION,
        "world_size": plan.world_size,
        "ranks_of_host": plan.ranks_of_host,
        "device": plan.device,
        "batch_size": plan.batch_size,
        "frozen": dict(plan.frozen),
        "tables": {
            name: {
                "module": p.module,
                "sharding_type": p.sharding_type,
                "compute_kernel": p.compute_kernel,
                "shards": p.shards.tolist(),
            }
            for name, p in plan.tables.items()
        },
    }


def plan_from_dict(raw: Any, where: str) -> Plan:
    """The plan in ``raw``. Raises InputError naming ``where`` and what is wrong in it."""
    try:
        if raw["version"] != VERSION:
            raise InputError(f"plan '{where}' is of version {raw['version']}, this code reads {VERSION}; plan again")
        tables = {}
        for name, t in raw["tables"].items():
            shards = np.array(t["shards"], dtype=np.int64).reshape(len(t["shards"]), 5)
            tables[name] = Placed(str(t["module"]), str(t["sharding_type"]), str(t["compute_kernel"]), shards)
        numbers = {key: int(raw[key]) for key in ("world_size", "ranks_of_host", "batch_size")}
        if not 1 <= numbers["ranks_of_host"] <= numbers["world_size"] or numbers["batch_size"] < 1:
            raise ValueError(f"impossible figures {numbers}")
        return Plan(device=str(raw["device"]), tables=tables, frozen=dict(raw["frozen"]), **numbers)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"'{where}' is no plan ({type(error).__name__}: {error}); python -m embeddings.plan --out FILE writes one"
        ) from error


def save_plan(plan: Plan, path: str | Path) -> None:
    """Write plan.json, one table a line: beside, then renamed."""
    raw = plan_as_dict(plan)
    tables = raw.pop("tables")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in tables.items())
    text = json.dumps(raw, indent=1)[:-2] + f',\n "tables": {{\n{lines}\n }}\n}}\n'
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; name the plan's file, such as {path / 'plan.json'}")
    try:
        with atomic_write(path) as out:
            out.write(text.encode())
    except FileNotFoundError:
        raise InputError(f"folder '{path.parent}' for the plan does not exist; make it first") from None


def load_plan(path: str | Path) -> Plan:
    """Read plan.json. Raises InputError where there is none or it is damaged."""
    try:
        raw = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"plan '{path}' does not exist; python -m embeddings.plan --out {path} writes one") from None
    except (ValueError, IsADirectoryError) as error:
        raise InputError(f"plan '{path}' is not readable JSON: {error}; plan again") from error
    return plan_from_dict(raw, str(path))


def check_plan(plan: Plan, problem: Problem, world_size: int, ranks_of_host: int, device: str, where: str) -> None:
    """Refuse a plan that is not of this model, or that these ranks cannot carry out. Raises InputError."""
    for what, got, wanted in (
        ("world size", plan.world_size, world_size),
        ("ranks of a host", plan.ranks_of_host, ranks_of_host),
        ("device", plan.device, device),
    ):
        if got != wanted:
            raise InputError(f"plan '{where}' is for {what} {got}, this run has {wanted}; {_AGAIN}")
    names = {t.name for t in problem.tables}
    for name in plan.tables.keys() - names:
        raise InputError(f"plan '{where}' places table '{name}', which the model lacks{nearest(name, names)}; {_AGAIN}")
    for name in names - plan.tables.keys():
        raise InputError(f"plan '{where}' lacks table '{name}' of the model; {_AGAIN}")
    if plan.frozen.keys() != {f.name for f in problem.frozen} or set(plan.frozen.values()) - set(PLACEMENTS):
        got, wanted = dict(plan.frozen), sorted(f.name for f in problem.frozen)
        raise InputError(f"plan '{where}' places frozen tables {got}, the model has {wanted}; {_AGAIN}")
    for f in problem.frozen:
        if plan.frozen[f.name] == "row_wise" and not f.row_wise:
            raise InputError(
                f"plan '{where}' cuts '{f.name}' into rows, but the model wants more than sums over bags; {_AGAIN}"
            )
    for table in problem.tables:
        _check_table(plan.tables[table.name], table, plan, where)
    widths = {
        t.name: int(plan.tables[t.name].shards[0, 3])
        for t in problem.tables
        if not t.pooled and plan.tables[t.name].sharding_type in CUTS_COLUMNS
    }
    if len(set(widths.values())) > 1:
        raise InputError(
            f"plan '{where}' cuts sequence tables into columns of several widths, {widths}; allowed: one for all; "
            f"{_AGAIN}"
        )


def _check_table(placed: Placed, table: Table, plan: Plan, where: str) -> None:
    device, about = plan.device, f"plan '{where}': table '{table.name}'"
    allowed = possible_types(table.managed)
    if placed.sharding_type not in allowed:
        raise InputError(f"{about} cannot be {placed.sharding_type} on {device}; allowed: {allowed}; {_AGAIN}")
    if placed.module != table.module:
        raise InputError(
            f"{about} is in '{placed.module}', the model has it in '{table.module}', as another feature reads it now; "
            f"{_AGAIN}"
        )
    kernels = ("dense",) if placed.sharding_type == "data_parallel" else _KERNELS[device]
    if placed.compute_kernel not in kernels:
        raise InputError(
            f"{about}, {placed.sharding_type} on {device}, cannot have kernel '{placed.compute_kernel}'; allowed: "
            f"{', '.join(kernels)}; {_AGAIN}"
        )
    if not _is_cut(placed, table, plan.world_size, plan.ranks_of_host):
        raise InputError(
            f"plan '{where}': the shards of table '{table.name}' do not cover {table.rows} x {table.columns} once, "
            f"as {placed.sharding_type} does on ranks 0 to {plan.world_size - 1}; {_AGAIN}"
        )


def _is_cut(placed: Placed, table: Table, world_size: int, local: int) -> bool:
    """Whether shards and ranks are as ``cut`` and ``pack`` make them; TorchRec takes no others."""
    shards, ranks = placed.shards[:, :4], placed.shards[:, 4]
    if not len(shards) or shards[0, 3] < 1 or table.columns % shards[0, 3]:
        return False
    wanted = cut(placed.sharding_type, table.rows, table.columns, world_size, local, int(shards[0, 3]))
    if not np.array_equal(shards, wanted) or ranks.min() < 0 or ranks.max() >= world_size:
        return False
    place = PLACES[placed.sharding_type]
    if place == "every":
        return np.array_equal(ranks, np.arange(world_size))
    if placed.sharding_type == "table_column_wise":
        return len(set((ranks // local).tolist())) == 1
    if place == "any":
        return True
    blocks = ranks.reshape(-1, local)  # rows of a block lie on the ranks of one host, in order
    return np.array_equal(blocks, (blocks[:, :1] // local) * local + np.arange(local))
