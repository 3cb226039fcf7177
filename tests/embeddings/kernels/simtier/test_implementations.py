"""Every implementation of SimTier against numpy's histogram: shapes, dtypes, edges, invariants."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.embeddings.kernels.bags import TABLE_DTYPES
from tests.embeddings.kernels.running import DEVICES, require, runnable
from tests.embeddings.kernels.simtier.cases import SHAPES, Case, agrees, away_from_edges, edge_case, random_case


@pytest.fixture(params=IMPLEMENTATIONS["simtier"])
def listed(request) -> str:
    return request.param


@pytest.fixture
def name(listed: str) -> str:
    """An implementation that runs on CPU."""
    require(listed)
    return listed


@pytest.fixture(params=DEVICES)
def simtier(request, listed: str) -> Callable[..., torch.Tensor]:
    """An implementation, its arguments moved to a device."""
    require(listed, request.param)
    return lambda *arguments: IMPLEMENTATIONS["simtier"][listed](*Case(*arguments).on(request.param).arguments)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
def test_counts_are_exact(simtier, shape: str, dtype: torch.dtype, index_dtype: torch.dtype) -> None:
    assert agrees(simtier, random_case(7, **SHAPES[shape], dtype=dtype, index_dtype=index_dtype))


@pytest.mark.parametrize("shape", SHAPES)
def test_int8_rows_without_a_scale_have_their_own_norms(simtier, shape: str) -> None:
    assert agrees(simtier, random_case(8, **SHAPES[shape], dtype=torch.int8, own_norms=True))


def test_own_norms_of_the_extremes(simtier) -> None:
    rows = [[-128, -128, -128], [127, 127, 127], [1, 0, 0], [-128, 0, 0], [0, -128, 127]]
    case = Case(
        torch.tensor(rows, dtype=torch.int8),
        None,
        torch.arange(5),
        torch.arange(5).repeat(5),
        torch.arange(6) * 5,
        None,
        7,
    )
    shared = replace(case, offsets=torch.tensor([0, 5]), history_rows=torch.arange(5), bag_index=torch.zeros(5).long())
    expected = away_from_edges(case).expected()
    assert np.array_equal(expected.sum(1), [5.0] * 5), "no similarity lies on an edge"
    for either in (case, shared):
        assert np.array_equal(simtier(*either.arguments).cpu().numpy(), expected)


def test_int8_rows_of_zeros_count_as_similarity_0(simtier) -> None:
    """No store holds them, but the answer is one of counts."""
    table, bag = torch.tensor([[0, 0], [1, 0]], dtype=torch.int8), torch.tensor([0, 1, 0])
    for targets in (1, 9):  # alone, and in a panel
        of = torch.zeros(targets, dtype=torch.long)
        counts = simtier(table, None, of, bag, torch.tensor([0, 3]), of, 4)
        assert counts[:, [0, 1, 3]].abs().sum() == 0 and (counts[:, 2] == 3).all()


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_many_chunks(dtype: torch.dtype) -> None:
    vectorised = IMPLEMENTATIONS["simtier"]["vectorised"]
    lengths = np.random.default_rng(0).integers(0, 60, 100).tolist()
    assert agrees(vectorised, random_case(1, lengths, 130, 20, dtype=dtype))  # 504 pairs a chunk
    assert agrees(
        vectorised, random_case(2, [3, 2], 70_000, 20, dtype=dtype, rows=6)
    )  # wider than a chunk: a pair each


def test_uninitialised_memory_is_never_read(name: str) -> None:
    case = random_case(3, [0, 40, 7], 200, 20)
    torch.use_deterministic_algorithms(True)  # fills torch.empty with NaN
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        assert agrees(IMPLEMENTATIONS["simtier"][name], case)
    finally:
        torch.use_deterministic_algorithms(False)


def test_float64_table_only_in_the_reference() -> None:
    case = random_case(4, [5, 9], 12, 20, dtype=torch.float64)
    assert agrees(IMPLEMENTATIONS["simtier"]["reference"], case)


def test_the_reference_sums_in_float64() -> None:
    large = float(2**25)  # float32 loses the quarter beside it in at least one of these orders
    rows = [[1.0, 1.0, 1.0], [large, -0.25, -large], [-0.25, large, -large], [large, -large, -0.25]]
    for dtype in (torch.float32, torch.bfloat16):
        case = Case(
            torch.tensor(rows, dtype=dtype), None, torch.tensor([0]), *map(torch.tensor, ([1, 2, 3], [0, 3])), None, 2
        )
        assert IMPLEMENTATIONS["simtier"]["reference"](*case.arguments).tolist() == [[3.0, 0.0]]


# Expected tiers written by hand. Edges belong to the tier above; 1 to the last.
EDGES = [
    (4, [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1, 2, 2, 3, 3, 3]),
    (20, [-1.0, -0.5, 0.0, 0.5, 1.0], [0, 5, 10, 15, 19]),
    (1, [-1.0, 0.0, 1.0], [0, 0, 0]),
    (2, [-1.0, -0.25, 0.0, 1.0], [0, 0, 1, 1]),
    (3, [-1.0, -0.5, 0.0, 0.5, 1.0], [0, 0, 1, 2, 2]),
    (256, [-1.0, -0.5, 0.0, 0.5, 1.0], [0, 64, 128, 192, 255]),
    (5, [1.5, -1.5, 1.015625, -1.015625], [4, 0, 4, 0]),  # past the ends: rounding overflow
]


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize(("num_tiers", "similarities", "tiers"), EDGES)
def test_tier_edges(simtier, dtype: torch.dtype, num_tiers: int, similarities: list, tiers: list) -> None:
    counts = simtier(*edge_case(num_tiers, similarities, dtype).arguments)
    assert counts.tolist() == [np.bincount(tiers, minlength=num_tiers).tolist()]


def test_one_ulp_past_the_ends(simtier) -> None:
    above = np.nextafter(np.float32(1), np.float32(2)).item()
    counts = simtier(*edge_case(20, [above, -above], torch.float32).arguments)
    assert counts[0, 0] == 1 and counts[0, 19] == 1


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize("shared_by", [None, 6])
def test_strided_and_transposed_arguments(simtier, dtype: torch.dtype, shared_by: int | None) -> None:
    case = random_case(5, [3, 0, 8], 9, 12, dtype=dtype, shared_by=shared_by)
    assert not case.strided().table.is_contiguous()
    assert agrees(simtier, case.strided())
    assert agrees(simtier, replace(case, table=case.table.t().contiguous().t()))


def test_arguments_are_left_alone(name: str) -> None:
    case = random_case(6, [3, 0, 8], 9, 12, dtype=torch.int8, shared_by=4)
    before = [a.clone() for a in case.arguments[:-1]]
    IMPLEMENTATIONS["simtier"][name](*case.arguments)
    assert all(torch.equal(a, b) for a, b in zip(case.arguments[:-1], before, strict=True))


def test_rows_out_of_range_are_never_answered(name: str) -> None:
    case = random_case(6, [3, 4], 9, 12)
    for row in (-2, 40):
        for wrong in ({"history_rows": torch.full((7,), row)}, {"target_rows": torch.full((2,), row)}):
            known = {"target_rows": torch.tensor([1, 2]), "history_rows": torch.arange(7)}
            with pytest.raises((AssertionError, IndexError, RuntimeError)):
                IMPLEMENTATIONS["simtier"][name](*replace(case, **(known | wrong)).arguments)


@given(
    seed=st.integers(0, 2**16),
    lengths=st.lists(st.integers(0, 9), max_size=6),
    width=st.integers(1, 12),
    num_tiers=st.one_of(st.integers(1, 24), st.sampled_from([255, 256])),
    dtype=st.sampled_from(TABLE_DTYPES),
    index_dtype=st.sampled_from([torch.int32, torch.int64]),
    shared_by=st.none() | st.integers(0, 8),
    own_norms=st.booleans(),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_any_case_is_exact(seed: int, lengths: list[int], width: int, num_tiers: int, **options) -> None:
    case = random_case(seed, lengths, width, num_tiers, **options)
    for name, function in runnable("simtier").items():
        assert agrees(function, case), name


@given(seed=st.integers(0, 2**16), lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_counts_of_parts_add_up(seed: int, lengths: list[int], data: st.DataObject) -> None:
    """Any vectors, edges included: parts of a history give the same similarities as the whole."""
    draw = torch.Generator().manual_seed(seed)
    table = torch.nn.functional.normalize(torch.randn(30, 8, generator=draw), dim=1)
    targets = torch.randint(-1, 30, (len(lengths),), generator=draw)
    bags = [torch.randint(-1, 30, (n,), generator=draw) for n in lengths]
    cuts = [data.draw(st.integers(0, n)) for n in lengths]

    for function in runnable("simtier").values():

        def counts(parts: list[torch.Tensor], function=function) -> torch.Tensor:
            offsets = torch.tensor([0, *np.cumsum([len(p) for p in parts])])
            return function(table, None, targets, torch.cat(parts), offsets, None, 10)

        whole = counts(bags)
        first = counts([b[:c] for b, c in zip(bags, cuts, strict=True)])
        rest = counts([b[c:] for b, c in zip(bags, cuts, strict=True)])
        assert torch.equal(first + rest, whole)
        assert torch.equal(counts([b[torch.randperm(len(b), generator=draw)] for b in bags]), whole)
        known = torch.tensor([float((b >= 0).sum()) for b in bags]) * (targets >= 0)
        assert torch.equal(whole.sum(1), known)
