"""What is held besides tables and optimizer: the ids of managed tables, and the copy that a checkpoint takes."""

import dataclasses

import pytest

from embeddings.planner.cost_model import shard_cost
from embeddings.planner.planner_input import Constraint, Dense
from embeddings.planner.report import ranks
from embeddings.planner.search import Search
from embeddings.planner.shard_layout import cut
from tests.embeddings.planner.planner_inputs import cpu, cuda, problem, table

WHOLE = Constraint(sharding_types=["table_wise"])


def test_a_managed_table_keeps_the_id_of_every_row():
    t = table("t", 1024, 16)
    shards = cut("row_wise", 1024, 16, 4, 4, 16)
    plain, managed = (
        shard_cost(x, "row_wise", kernel, shards, problem(x), cuda(4))
        for x, kernel in ((t, "fused"), (dataclasses.replace(t, managed=True), "fused"))
    )
    assert (managed.device_bytes - plain.device_bytes).tolist() == [8 * 256] * 4
    in_host = shard_cost(dataclasses.replace(t, managed=True), "row_wise", "fused_uvm", shards, problem(t), cuda(4))
    assert (in_host.host_bytes - plain.host_bytes).tolist() == [256 * 16 * 4 + 256 * 4] * 4  # ids stay on the device


@pytest.mark.filterwarnings("ignore:To copy construct:UserWarning")  # TorchRec's own
def test_managed_ids_are_as_torchrec_has_them():
    from embeddings.tables import TableConfig
    from embeddings.zch import managed_bags

    config = TableConfig(
        name="t", num_embeddings=1024, embedding_dim=16, features=("f",), pooled=True, mean_length=(1.0,), managed=True
    )
    of_rows = [p for _, p in managed_bags([config]).named_parameters() if p.size(0) == 1024 and not p.requires_grad]
    assert sum(p.element_size() * p.numel() for p in of_rows) == 8 * 1024


def test_on_cpu_a_checkpoint_is_a_second_copy():
    t = table("t", 1000, 16)
    p = problem(t, default=WHOLE, dense=Dense(parameters=1000), optimizer="adagrad")
    plain, saving = (Search(dataclasses.replace(p, checkpoints=c), cpu(2)).best() for c in (False, True))
    state, of_dense = 1000 * 16 * 8, 3 * 4 * 1000 // 2
    holder = saving.plan.tables["t"].ranks[0]
    assert saving.copy_bytes[holder] == state + of_dense and saving.copy_bytes[1 - holder] == of_dense
    assert (saving.device_bytes - saving.copy_bytes == plain.device_bytes).all() and not plain.copy_bytes.any()
    assert not saving.host_bytes.any()


def test_on_cuda_it_is_pinned_memory_of_the_host():
    t = table("t", 1000, 16)
    p = problem(t, default=WHOLE, dense=Dense(parameters=1000), checkpoints=True)
    found = Search(p, cuda(2)).best()
    holder = found.plan.tables["t"].ranks[0]
    assert found.host_bytes[holder] == found.copy_bytes[holder] == 65536 + 4096 + 6000  # 64,000 and 4,000 rounded up
    assert (found.device_bytes == Search(dataclasses.replace(p, checkpoints=False), cuda(2)).best().device_bytes).all()


@pytest.mark.parametrize("machine", [cpu(2), cuda(2)])
def test_the_report_shows_it_apart_from_the_tables(machine) -> None:
    p = problem(table("t", 1_000_000, 16), default=WHOLE, checkpoints=True)
    head, *lines = ranks(Search(p, machine).best(), every_rank=False).splitlines()
    assert "checkpoint's copy" in head
    holder = next(line for line in lines if "64.9 MiB" in line or "0.06 GiB" in line)
    tables, copy = holder.split()[1], "64.8 MiB" if machine.hardware.device == "cpu" else "68.0 MiB"
    assert tables == "64.9" and copy in holder


def test_a_table_that_fits_once_may_not_fit_twice():
    from embeddings.planner.advice import shortage
    from embeddings.planner.bin_packing import NoPlan

    p = problem(table("t", 10_000_000, 16), default=WHOLE)  # 0.63 GiB
    for machine, kind in ((cpu(1, 1.0), "memory"), (cuda(1, 1.0, ddr_gib=0.5), "host's memory")):
        Search(p, machine).best()
        q = dataclasses.replace(p, checkpoints=True)
        with pytest.raises(NoPlan) as none:
            Search(q, machine).best()
        said = shortage(q, machine.hardware, 1, none.value)
        assert kind in said and "checkpoint's copy" in said
        assert none.value.of_host == (machine.hardware.device == "cuda")
