"""Frozen tables: bytes and times by hand, and the placement that follows from them."""

import dataclasses

import pytest

from embeddings.planner.frozen_placement import frozen_bytes, frozen_ms, place_frozen
from embeddings.planner.hardware import Speed
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import FrozenInput
from embeddings.planner.table_constraint import TableConstraint
from embeddings.planner.topology import Topology
from tests.embeddings.planner.planner_inputs import cpu, cuda, planner_input, table

GIB = 2**30
VECTORS = FrozenInput(name="v", rows=4_000_000, width=128, dtype="int8", mean_length=500.0, results=20)  # 0.49 GiB


def placed(topology: Topology, *tables, vectors: FrozenInput = VECTORS, **more) -> dict[str, str]:
    return dict(
        PlanSearch(planner_input(*(tables or (table("a"),)), frozen=(vectors,), **more), topology).best().plan.frozen
    )


@pytest.mark.parametrize(
    ("placement", "topology", "expected"),
    [
        ("replicated", cuda(16), (132_000, 0)),
        ("host", cuda(16), (0, 16_500)),
        ("row_wise", cuda(16), (8_250 + 2 * 132_000 + 2 * 4 * 16 * 64 * 20, 0)),  # room for all rows, as 16 x 64 > 1000
        ("row_wise", cuda(2), (66_000 + 2 * 128 * 132 + 2 * 4 * 2 * 64 * 20, 0)),
        ("host", cpu(16), (16_500, 0)),
        ("replicated", cpu(4), (132_000, 0)),
    ],
)
def test_bytes(placement: str, topology: Topology, expected: tuple[int, int]) -> None:
    f = FrozenInput(name="f", rows=1000, width=128, dtype="int8", results=20)
    assert f.bytes == 1000 * (128 + 4)
    assert frozen_bytes(f, placement, planner_input(), topology) == expected


def test_an_evaluations_larger_batches_need_more_room():
    f, p = FrozenInput(name="f", rows=10**6, width=128, dtype="int8"), planner_input()
    small, large = (
        frozen_bytes(f, "row_wise", q, cuda(2))[0] for q in (p, dataclasses.replace(p, eval_batch_size=640))
    )
    assert large - small == 2 * 132 * 2 * (640 - 64)


@pytest.mark.parametrize(("ranks", "wire"), [(8, 1 / 200e9), (16, 7 / 15 / 200e9 + 8 / 15 / 20e9)])
def test_rows_over_ranks_send_results_to_all_ranks_and_no_vectors(ranks: int, wire: float) -> None:
    topology = cuda(ranks, hbm_gb_per_s=1e12, speed=Speed())
    f = FrozenInput(name="f", rows=10**6, width=128, dtype="float32", mean_length=1000, results=20)
    to_owners = 64 * 4 * 1000 * (ranks - 1) / ranks
    to_all = (ranks - 1) * 64 * (4 + 4 + 4 * 128 + 4 * 20)  # row, length of the bag, vector, counts
    expected = (to_owners + to_all) * wire * 1e3
    assert frozen_ms(f, "row_wise", planner_input(), topology) == pytest.approx(expected, rel=1e-3)
    host = frozen_ms(f, "host", planner_input(), topology)
    assert host == pytest.approx(64 * 1001 * 512 / 20e9 * 1e3)
    slow = cuda(ranks, hbm_gb_per_s=1.0, speed=Speed(wire_ns=0.0), inter_gb_per_s=1e12)
    read = 64 * (1000 + ranks) * 512  # a rank's behaviours, and the targets of all ranks
    assert frozen_ms(f, "row_wise", planner_input(), slow) == pytest.approx(read / 1e9 * 1e3, rel=1e-6)


@pytest.mark.parametrize("placement", ["replicated", "host", "row_wise"])
def test_what_is_read_again_in_the_backward_takes_its_time_again(placement: str) -> None:
    topology = cuda(8, pcie_gb_per_s=1.0, hbm_gb_per_s=1.0, speed=Speed(wire_ns=0.0))
    once = dataclasses.replace(VECTORS, mean_length=10.0)
    behind = frozen_ms(dataclasses.replace(once, reads=3), placement, planner_input(), topology)
    targets = 64 * (8 if placement == "row_wise" else 1)
    assert behind == pytest.approx(3 * (64 * 10 + targets) * 132 / 1e9 * 1e3)
    assert behind == pytest.approx(3 * frozen_ms(once, placement, planner_input(), topology))


def test_they_go_where_there_is_room():
    assert placed(cuda(4, 1.0)) == {"v": "replicated"}
    assert placed(cuda(4, 0.4), batch_size=1024) == {"v": "row_wise"}
    assert placed(cuda(4, 0.1)) == {"v": "host"}
    assert placed(cpu(4)) == {"v": "replicated"}  # copies take a quarter at most
    assert placed(cpu(4, 7.0)) == {"v": "host"}
    raw = dataclasses.replace(VECTORS, row_wise=False)
    assert placed(cuda(4, 0.4), vectors=raw, batch_size=1024) == {"v": "host"}
    assert placed(cuda(4, 1.0), vectors=dataclasses.replace(VECTORS, placement="row_wise")) == {"v": "row_wise"}


def test_rows_lie_over_the_ranks_of_all_hosts():
    """The devices of one host are too small, those of four hosts are not."""
    large = dataclasses.replace(VECTORS, rows=10 * VECTORS.rows)  # 4.9 GiB
    for ranks, wanted in ((8, "host"), (32, "row_wise")):
        assert placed(cuda(ranks, 0.4, inter_gb_per_s=200.0), vectors=large, batch_size=1024) == {"v": wanted}
    with pytest.raises(NoPlan, match="what every rank holds finds no room"):
        placed(cuda(8, 0.4, ddr_gib=3.0), vectors=large)


def test_slow_wires_between_hosts_speak_for_a_copy_a_host():
    """Targets and results go to all ranks: over many hosts that takes longer than the vectors that one rank reads."""
    vectors = dataclasses.replace(VECTORS, mean_length=100.0)
    assert placed(cuda(8, 0.4), vectors=vectors, batch_size=2048) == {"v": "row_wise"}
    assert placed(cuda(64, 0.4), vectors=vectors, batch_size=2048) == {"v": "host"}
    assert placed(cuda(64, 0.4, inter_gb_per_s=200.0), vectors=vectors, batch_size=2048) == {"v": "row_wise"}


def test_fits_to_the_byte():
    p = planner_input(frozen=(VECTORS,))
    topology = cuda(4, VECTORS.bytes / GIB)
    assert place_frozen(p, topology) == {"v": "replicated"}
    assert place_frozen(p, topology, device_bytes=1) != {"v": "replicated"}


def test_where_nothing_fits_it_is_the_smallest():
    assert place_frozen(planner_input(frozen=(VECTORS,)), cuda(2, 0.1, ddr_gib=0.1)) == {"v": "row_wise"}


def test_they_give_way_to_tables():
    big = table("a", 11_000_000, 16)  # 0.7 GiB, on one rank
    placements = placed(cuda(4, 1.0), big, default_constraint=TableConstraint(sharding_types=["table_wise"]))
    assert placements["v"] in ("row_wise", "host")
    no_room = placed(cuda(4, 0.72), big, default_constraint=TableConstraint(sharding_types=["table_wise"]))
    assert no_room == {"v": "host"}  # 0.12 GiB of rows would be too much
