"""A table over ranks gives what a whole one gives: counts to the bit, MAKE to rounding, forward and backward."""

from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.store import FrozenStore, build_store
from embeddings.frozen.table import FrozenTable
from tests.embeddings.frozen.ranks import on_ranks
from tests.embeddings.frozen.stores import change_store

COUNT, WIDTH, TIERS, HIDDEN, ROOM = 203, 16, 7, 5, 64
RANKS = (1, 2, 3, 4)


@pytest.fixture(scope="module", params=["float32", "float16", "int8"])
def store(request, tmp_path_factory: pytest.TempPathFactory) -> FrozenStore:
    vectors = np.random.default_rng(0).normal(size=(COUNT, WIDTH))
    path = tmp_path_factory.mktemp("store") / request.param
    return build_store(str(path), np.arange(COUNT), vectors, dtype=request.param)


def rows_of(seed: int, targets: int | None = None, count: int = COUNT) -> FrozenRows:
    """Random rows: an empty bag, missing items and, for odd seeds, bags with several targets."""
    draw = np.random.default_rng(seed)
    targets = 6 + 3 * seed % 11 if targets is None else targets
    lengths = draw.integers(1, 25, targets)
    lengths[1:2] = 0
    return FrozenRows(
        torch.from_numpy(draw.integers(-1, count, targets)),
        torch.from_numpy(draw.integers(-1, count, lengths.sum())),
        torch.from_numpy(np.concatenate([[0], lengths.cumsum()])),
        torch.from_numpy(draw.integers(0, targets, targets)) if seed % 2 and targets else None,
    )


def parameters() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    shapes = [(HIDDEN, 4 * WIDTH), (HIDDEN,), (HIDDEN,), (HIDDEN,)]
    return [torch.randn(s, generator=draw).requires_grad_() for s in shapes]


def upstream(rank: int, targets: int) -> torch.Tensor:
    return torch.randn(targets, WIDTH, generator=torch.Generator().manual_seed(40 + rank))


@pytest.mark.parametrize("ranks", RANKS)
def test_counts_are_those_of_the_whole_table(store: FrozenStore, ranks: int) -> None:
    results = on_ranks(ranks, lambda r, group: RowWiseTable(store, group, room=ROOM).tier_counts(rows_of(r), TIERS))
    whole = FrozenTable(store)
    for rank, counts in enumerate(results):
        expected = whole.tier_counts(rows_of(rank), TIERS)
        assert expected.sum() > 0 and counts.dtype == torch.float32
        assert torch.equal(counts, expected)


@pytest.mark.parametrize("ranks", RANKS)
def test_attention_and_its_gradients_are_those_of_the_whole_table(store: FrozenStore, ranks: int) -> None:
    """Each rank's own loss; gradients summed over ranks, as DistributedDataParallel does."""

    def step(table: FrozenTable | RowWiseTable, rank: int) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        weights = parameters()
        pooled = table.attention(rows_of(rank), *weights)
        counts = table.tier_counts(rows_of(rank + 20), TIERS)  # takes the room of the targets that backward needs
        return pooled.detach(), counts, list(torch.autograd.grad(pooled, weights, upstream(rank, len(pooled))))

    results = on_ranks(ranks, lambda r, group: step(RowWiseTable(store, group, room=ROOM), r))
    expected = [step(FrozenTable(store), rank) for rank in range(ranks)]
    for (pooled, counts, _), (right, right_counts, _) in zip(results, expected, strict=True):
        assert right.abs().sum() > 0
        torch.testing.assert_close(pooled, right, rtol=1e-5, atol=1e-5)
        assert torch.equal(counts, right_counts)
    for number in range(4):
        summed = sum(gradients[number] for *_, gradients in results)
        right = sum(gradients[number] for *_, gradients in expected)
        torch.testing.assert_close(summed, right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_without_targets_or_behaviours(store: FrozenStore, ranks: int) -> None:
    def rows(rank: int) -> FrozenRows:
        if rank == 1:
            return rows_of(5, targets=0)
        if rank == 2:
            return FrozenRows(torch.tensor([3, -1]), torch.tensor([-1, -1]), torch.tensor([0, 2, 2]))
        return rows_of(rank)

    def step(r: int, group) -> tuple[torch.Tensor, torch.Tensor]:
        table = RowWiseTable(store, group, room=ROOM)
        return table.tier_counts(rows(r), TIERS), table.attention(rows(r), *parameters())

    whole = FrozenTable(store)
    for rank, (counts, pooled) in enumerate(on_ranks(ranks, step)):
        assert torch.equal(counts, whole.tier_counts(rows(rank), TIERS))
        torch.testing.assert_close(pooled, whole.attention(rows(rank), *parameters()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_rows_than_ranks_can_share_evenly(tmp_path: Path, count: int) -> None:
    store = build_store(str(tmp_path / "s"), np.arange(count), np.eye(count, 3) + 0.1, dtype="float32")

    def step(r: int, group) -> torch.Tensor:
        return RowWiseTable(store, group, room=ROOM).tier_counts(rows_of(r, count=count), TIERS)

    for rank, counts in enumerate(on_ranks(4, step)):
        assert torch.equal(counts, FrozenTable(store).tier_counts(rows_of(rank, count=count), TIERS))


def test_each_rank_holds_its_own_rows_alone(store: FrozenStore) -> None:
    def held(r: int, group) -> tuple[int, int, int]:
        table = RowWiseTable(store, group, room=10)
        assert table.local(table.everyone(rows_of(r, targets=0))).table.shape[0] == (
            table.shard.last - table.shard.first
        )
        return table.shard.first, table.shard.last, table.width

    assert on_ranks(4, held) == [(0, 51, WIDTH), (51, 102, WIDTH), (102, 153, WIDTH), (153, 203, WIDTH)]


def test_a_rank_checks_the_rows_that_it_copies(tmp_path: Path) -> None:
    path = build_store(str(tmp_path / "s"), np.arange(9) * 10, np.eye(9) + 0.1, dtype="float32").path
    change_store(path, "vectors.npy", lambda a: np.where(np.arange(9)[:, None] == 7, 2 * a, a))
    store = FrozenStore.open(path)

    def refused(r: int, group) -> str:
        try:
            return f"{RowWiseTable(store, group, room=ROOM).width}"
        except InputError as error:
            return str(error)

    first, second, third = on_ranks(3, refused)
    assert first == second == "9"
    assert "the vector of id 70 has norm 2; 1 of 3 rows looked at (of 9) are wrong" in third


def test_a_shared_history_travels_once_and_missing_rows_never(store: FrozenStore) -> None:
    """40 targets with one history of 8, two of them missing; the other rank sends nothing."""
    history = torch.tensor([5, -1, 190, 7, 60, -1, 100, 202])

    def arrived(r: int, group) -> tuple[int, int]:
        targets = 40 * (1 - r)
        bags = FrozenRows(
            torch.full((targets,), 3),
            history[: 8 * (1 - r)],
            torch.tensor([0, 8])[: 2 - r],
            torch.zeros(targets).long(),
        )
        exchange = RowWiseTable(store, group, room=1).everyone(bags)
        return exchange.rows.history.numel(), sum(v.numel() for v in exchange.vectors)

    vector = WIDTH * store.vectors.dtype.itemsize
    assert on_ranks(2, arrived) == [(4, vector), (2, vector)]  # rows below 102 here, the others there; one target


def test_one_exchange_serves_both_kernels(store: FrozenStore) -> None:
    def same(r: int, group) -> bool:
        table, rows = RowWiseTable(store, group, room=ROOM), rows_of(r)
        table.tier_counts(rows, TIERS)
        first = table.everyone(rows)
        table.attention(rows, *parameters())
        return table.everyone(rows) is first

    assert on_ranks(2, same) == [True, True]


def test_two_batches_in_flight_keep_their_own_exchanges(store: FrozenStore) -> None:
    def counts(r: int, group) -> tuple[torch.Tensor, torch.Tensor, int]:
        table, first, second = RowWiseTable(store, group, room=ROOM), rows_of(r), rows_of(r + 20)
        for rows in (first, second):
            table.start(rows).advance()
        late, early = table.tier_counts(second, TIERS), table.tier_counts(first, TIERS)
        return early, late, len(table._exchanges)

    whole = FrozenTable(store)
    for rank, (early, late, exchanges) in enumerate(on_ranks(2, counts)):
        assert torch.equal(early, whole.tier_counts(rows_of(rank), TIERS))
        assert torch.equal(late, whole.tier_counts(rows_of(rank + 20), TIERS)) and exchanges == 2


@pytest.mark.parametrize("finished", [True, False])
def test_an_exchange_goes_with_its_batch(store: FrozenStore, finished: bool) -> None:
    """A batch that was never computed on is let go of too."""

    def left(r: int, group) -> int:
        table, rows = RowWiseTable(store, group, room=ROOM), rows_of(r)
        table.everyone(rows) if finished else table.start(rows)
        assert len(table._exchanges) == 1
        del rows
        return len(table._exchanges)

    assert on_ranks(1, left) == [0]


def test_more_targets_than_room_are_a_defect(store: FrozenStore) -> None:
    def step(r: int, group) -> None:
        RowWiseTable(store, group, room=2).tier_counts(rows_of(r), TIERS)

    with pytest.raises(AssertionError, match="room for 2"):
        on_ranks(1, step)


def test_no_gradient_reaches_the_vectors_and_nothing_is_collected(store: FrozenStore) -> None:
    def tensors(r: int, group) -> list[bool]:
        table = RowWiseTable(store, group, room=ROOM)
        return [t.requires_grad for t in (table._table, table._scale) if t is not None]

    assert not any(on_ranks(1, tensors)[0])
