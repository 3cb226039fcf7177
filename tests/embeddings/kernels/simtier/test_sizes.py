"""SimTier over every width, many targets a bag, threads, a table beyond 2 ** 31 bytes, and what is out of range."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.embeddings.kernels.bags import OUT_OF_RANGE, TABLE_DTYPES, table_beyond_32_bits
from tests.embeddings.kernels.running import require, threads
from tests.embeddings.kernels.simtier.cases import Case, agrees, away_from_edges, exact_case, random_case


@pytest.fixture(params=IMPLEMENTATIONS["simtier"])
def simtier(request) -> Callable[..., torch.Tensor]:
    require(request.param)
    return IMPLEMENTATIONS["simtier"][request.param]


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_every_width(simtier, dtype: torch.dtype) -> None:
    for width in range(1, 201):
        lengths = np.random.default_rng(width).integers(0, 9, 3).tolist()
        tiers = 1 + width * 37 % 256
        assert agrees(simtier, exact_case(width, lengths, width, tiers, dtype=dtype, before=width % 3)), width


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize("targets", [1, 2, 3, 5, 6, 7, 40, 300])
@pytest.mark.parametrize("num_tiers", [1, 20, 256])
def test_targets_that_share_one_bag(simtier, dtype: torch.dtype, targets: int, num_tiers: int) -> None:
    case = exact_case(targets, [11], 19, num_tiers, dtype=dtype, shared_by=targets)
    assert targets == 1 or case.expected().sum() > 0
    assert agrees(simtier, case)


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_targets_that_share_two_bags_in_any_order(simtier, dtype: torch.dtype) -> None:
    for seed in range(6):
        assert agrees(simtier, exact_case(seed, [7, 0, 9], 33, 20, dtype=dtype, shared_by=25, before=2, after=1))


FAST = [name for name in IMPLEMENTATIONS["simtier"] if name != "reference"]


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("wrong", OUT_OF_RANGE)
def test_bags_out_of_range_are_never_answered(name: str, wrong: str) -> None:
    require(name)
    case = random_case(6, [3, 4], 9, 12)
    case = replace(case, target_rows=torch.tensor([1, 2]), history_rows=torch.arange(7))
    with pytest.raises((IndexError, RuntimeError)):
        IMPLEMENTATIONS["simtier"][name](*replace(case, **OUT_OF_RANGE[wrong]).arguments)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("shared_by", [None, 6])
def test_as_many_threads_as_wanted(name: str, shared_by: int | None) -> None:
    """Any vectors, edges included: the same counts to the last bit, and the right ones where edges are kept off."""
    require(name)
    lengths = [3, 0, 100_000, 1, 700, 0, 45, 5_000, 2]
    case = random_case(8, lengths, 8, 20, shared_by=shared_by)
    draw = torch.Generator().manual_seed(9)
    rows = (torch.randint(-1, 40, each.shape, generator=draw) for each in (case.target_rows, case.history_rows))
    edges = replace(case, **dict(zip(("target_rows", "history_rows"), rows, strict=True)))
    function = IMPLEMENTATIONS["simtier"][name]
    with threads(1):
        assert agrees(function, case)
        once = function(*edges.arguments)
    for number in (2, 3):
        with threads(number):
            assert agrees(function, case), number
            assert torch.equal(function(*edges.arguments), once), number


@pytest.mark.slow
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
def test_a_table_beyond_32_bits(simtier, index_dtype: torch.dtype) -> None:
    draw = np.random.default_rng(10)
    rows = [0, 5, *range(2**31 // 64 - 2, 2**31 // 64 + 100, 3)]
    table, scale = table_beyond_32_bits(rows, draw)
    targets, history = (torch.from_numpy(draw.integers(0, len(rows), n)) for n in (4, 30))
    offsets = torch.tensor([0, 9, 9, 20, 30], dtype=index_dtype)
    few = away_from_edges(Case(table[rows], scale[rows], targets, history, offsets, None, 20))
    place = torch.tensor([*rows, -1], dtype=index_dtype)  # -1 stays -1
    counts = simtier(table, scale, place[targets], place[few.history_rows], offsets, None, 20)
    assert counts.sum() > 20 and np.array_equal(counts.numpy(), few.expected())
