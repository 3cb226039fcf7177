"""Plans: what the planner may choose, what it may not, and the plan as plain data."""

import pytest
import torch
from torch import nn
from torchrec.distributed.types import ShardingType

from embeddings.errors import InputError
from embeddings.sharding import Constraint, local_topology, make_plan, plan_as_dict, sharders
from embeddings.tables import TableConfig, bag_collection, sequence_collection

CPU = torch.device("cpu")
FREE = Constraint()


def tables(user_rows: int = 1000) -> list[TableConfig]:
    def table(name: str, rows: int, features: tuple[str, ...], pooled: bool) -> TableConfig:
        return TableConfig(
            name=name,
            num_embeddings=rows,
            embedding_dim=16,
            features=features,
            pooled=pooled,
            mean_length=tuple(2.0 for _ in features),
        )

    return [
        table("user", user_rows, ("user",), True),
        table("tag", 10, ("tags",), True),
        table("item", 2000, ("item", "history"), False),
    ]


class Model(nn.Module):
    def __init__(self, configs: list[TableConfig]) -> None:
        super().__init__()
        self.bags = bag_collection([t for t in configs if t.pooled])
        self.sequences = sequence_collection([t for t in configs if not t.pooled])


def plan(constraints=None, default: Constraint = FREE, ranks: int = 2, user_rows: int = 1000) -> dict:
    configs = tables(user_rows)
    topology = local_topology(CPU, ranks, ranks)
    return plan_as_dict(make_plan(Model(configs), configs, constraints or {}, default, topology, batch_size=64))


@pytest.mark.parametrize("kind", [t.value for t in ShardingType])
def test_a_forced_type_is_taken_for_bags(kind):
    forced = Constraint(sharding_types=[kind], min_partition=8)
    found = plan({"user": forced, "tag": forced})
    assert found["user"]["sharding_type"] == found["tag"]["sharding_type"] == kind


@pytest.mark.parametrize("kind", ["table_wise", "row_wise", "column_wise"])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_shards_cover_each_table_once(kind, ranks):
    found = plan(default=Constraint(sharding_types=[kind], min_partition=4), ranks=ranks)
    assert set(found) == {"user", "tag", "item"}
    for name, rows in (("user", 1000), ("tag", 10), ("item", 2000)):
        entry = found[name]
        assert entry["sharding_type"] == kind and entry["module"] == ("sequences" if name == "item" else "bags")
        covered = torch.zeros(rows, 16, dtype=torch.int64)
        for shard in entry["shards"]:
            (row, column), (height, width) = shard["offsets"], shard["sizes"]
            covered[row : row + height, column : column + width] += 1
            assert int(shard["placement"].split(":")[1].split("/")[0]) in range(ranks)
        assert (covered == 1).all(), name
    assert len(found["user"]["shards"]) == (1 if kind == "table_wise" else len(found["user"]["ranks"]))


def test_one_tables_constraint_goes_before_the_default():
    found = plan({"tag": Constraint(sharding_types=["row_wise"])}, Constraint(sharding_types=["table_wise"]))
    assert {n: e["sharding_type"] for n, e in found.items()} == {
        "user": "table_wise",
        "item": "table_wise",
        "tag": "row_wise",
    }


def test_a_type_that_only_some_tables_can_have_is_left_out_for_the_others():
    found = plan(default=Constraint(sharding_types=["grid_shard", "row_wise"], min_partition=8))
    assert found["item"]["sharding_type"] == "row_wise"


def test_mistakes():
    with pytest.raises(InputError, match=r"sharding.tables names \['itm'\]; tables are \['item', 'tag', 'user'\]"):
        plan({"itm": FREE})
    with pytest.raises(
        InputError, match=r"'item': sharding types \['data_parallel'\] are not possible here; allowed: \["
    ):
        plan({"item": Constraint(sharding_types=["data_parallel"])})
    with pytest.raises(InputError, match=r"'item': sharding types \['row_wise', 'grid_shard'\] are not possible here"):
        plan({"item": Constraint(sharding_types=["row_wise", "grid_shard"])})


def test_tables_larger_than_memory():
    with pytest.raises(
        InputError, match=r"^no sharding plan fits: [^\n]+; widen sharding.sharding_types or add memory"
    ):
        plan(user_rows=1 << 40)


def test_the_topology_is_this_machine():
    import os

    topology = local_topology(CPU, 4, 2)
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert topology.world_size == 4 and topology.local_world_size == 2 and topology.compute_device == "cpu"
    assert {d.storage.ddr for d in topology.devices} == {host // 2} and {d.storage.hbm for d in topology.devices} == {0}


def test_sharders_offer_every_type_on_cpu_and_replicated_sequences_only_elsewhere():
    bags, sequences = sharders()
    assert set(bags.sharding_types("cpu")) == {t.value for t in ShardingType}
    assert set(sequences.sharding_types("cpu")) == {"table_wise", "row_wise", "column_wise"}
    assert set(sequences.sharding_types("cuda")) == {"table_wise", "row_wise", "column_wise", "data_parallel"}
