"""Similarities at the edges of tiers: counts are the same for a target alone and among others, and the right ones.

Rounding decides between two tiers there, and sums of separate and of shared bags round in other orders. Implementations
on CPU therefore compute such similarities anew in float64 and round them once.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.embeddings.kernels.bags import random_bags
from tests.embeddings.kernels.running import runnable, threads
from tests.embeddings.kernels.simtier.cases import Case

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8)
NAMES = [name for name in ("native", "vectorised") if name in runnable("simtier")]
TARGETS = 4  # the first rows of a table at the edges


def random_unit(draw: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = draw.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def edge_vectors(draw: np.random.Generator, width: int, num_tiers: int, rows: int) -> np.ndarray:
    """Four targets, and rows whose similarity to one of them is an edge's, but for rounding: [TARGETS + rows, width].

    Half are unit vectors, half lie along the target, so that all products have one sign and round to one side.
    """
    targets = np.concatenate([random_unit(draw, 2, width), np.full((2, width), width**-0.5)])
    edges = -1 + 2 * draw.integers(0, num_tiers + 1, rows) / num_tiers
    of = targets[draw.integers(0, TARGETS, rows)]
    across = random_unit(draw, rows, width)
    across -= (across * of).sum(1, keepdims=True) * of
    norms = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.divide(across, norms, out=np.zeros_like(across), where=norms > 1e-9)
    at_angle = edges[:, None] * of + np.sqrt(1 - edges**2)[:, None] * across
    along = edges[:, None] * of
    return np.concatenate([targets, np.where(draw.random((rows, 1)) < 0.5, at_angle, along)])


def edge_case(
    seed: int, lengths: list[int], width: int, num_tiers: int, dtype: torch.dtype, shared_by: int | None
) -> Case:
    """Bags of such rows, a tenth of them missing. Scales of int8 rows put them there again; none grows beyond 1."""
    draw = np.random.default_rng(seed)
    bags = random_bags(draw, lengths, width, dtype=dtype, shared_by=shared_by)
    rows = len(bags.table)
    vectors = edge_vectors(draw, width, num_tiers, rows - TARGETS)
    targets = torch.where(bags.target_rows < 0, bags.target_rows, bags.target_rows % TARGETS)
    if dtype != torch.int8:
        return Case(torch.from_numpy(vectors).to(dtype), None, targets, *bags.arguments[3:], num_tiers)
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9)
    table = np.rint(vectors * 127 / largest)
    scale = 1 / np.maximum(np.linalg.norm(table, axis=1), 1)
    cosine = table @ table[0] * scale[0] * scale
    edge = -1 + 2 * np.trunc((cosine + 1) * num_tiers / 2 + (cosine < 0) * (1 - 1e-9)) / num_tiers
    some = (np.arange(rows) >= TARGETS) & (edge * cosine > 1e-6) & (np.abs(edge) <= np.abs(cosine))
    scale[some] *= edge[some] / cosine[some]
    scales = torch.from_numpy(scale).float()
    return Case(torch.from_numpy(table).to(torch.int8), scales, targets, *bags.arguments[3:], num_tiers)


def alone(case: Case, target: int) -> Case:
    """That target with its bag, which nobody shares."""
    bag = case.bags()[target]
    offsets, row = torch.tensor([0, len(bag)]), case.target_rows[target : target + 1]
    rows = torch.tensor(bag, dtype=case.history_rows.dtype)
    return replace(case, target_rows=row, history_rows=rows, offsets=offsets, bag_index=None)


def rounded_once(case: Case) -> np.ndarray:
    """Counts by similarities that are the float32 numbers nearest to the true ones, [B, N]."""
    table, n = case.table.double().numpy(), case.num_tiers
    norms = np.linalg.norm(table, axis=1) if case.table.dtype == torch.int8 else np.ones(len(table))
    scale = 1 / np.maximum(norms, 1e-30) if case.scale is None else case.scale.double().numpy()
    counts = np.zeros((len(case.target_rows), n), np.float32)
    for b, (target, bag) in enumerate(zip(case.target_rows.tolist(), case.bags(), strict=True)):
        known = [row for row in bag if row >= 0 and target >= 0]
        s = (table[known] @ table[target] * (scale[known] * scale[target])).astype(np.float32).clip(-1, 1)
        tiers = np.minimum(((s + np.float32(1)) * np.float32(n / 2)).astype(np.int64), n - 1)
        counts[b] = np.bincount(tiers, minlength=n)
    return counts


def check(name: str, case: Case) -> None:
    function, wanted = IMPLEMENTATIONS["simtier"][name], torch.from_numpy(rounded_once(case))
    together = function(*case.arguments)
    assert torch.equal(together, wanted), name
    for b in range(len(case.target_rows)):
        assert torch.equal(function(*alone(case, b).arguments)[0], together[b]), (name, b)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shared_by", [None, 4, 21])
def test_alone_equals_shared(name: str, dtype: torch.dtype, shared_by: int | None) -> None:
    for width in (1, 3, 16, 33, 64, 128, 130):
        for num_tiers in (2, 19, 20, 256):
            lengths = [17, 0, 40, 1] if shared_by is None else [90, 0, 13]
            check(name, edge_case(width, lengths, width, num_tiers, dtype, shared_by))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_those_of_many_rows_that_are_nearest_to_an_edge(name: str, dtype: torch.dtype) -> None:
    """Rows of 16 bits cannot be put there; of 200,000 some 50 are within 1e-6."""
    table = torch.from_numpy(random_unit(np.random.default_rng(1), 200_000, 24)).to(dtype)
    position = ((table.double() @ table[0].double()) + 1) * 128
    near = (position - position.round()).abs().argsort()[:90]
    rows, shared = torch.cat([torch.zeros(1).long(), near]), torch.zeros(17).long()
    case = Case(table[rows].contiguous(), None, shared, torch.arange(1, 91), torch.tensor([0, 90]), shared, 256)
    check(name, case)


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_norms_of_their_own(name: str) -> None:
    """int8 rows without a scale: whole numbers whose norms are 5, and similarities of fifths and of 25ths."""
    rows = [[3, 4, 0, 0], [4, 3, 0, 0], [0, 0, 5, 0], [0, 3, 0, 4], [-3, 0, 4, 0], [-4, -3, 0, 0]]
    bag, targets = torch.arange(6).repeat(5), torch.arange(6).repeat(3)
    case = Case(
        torch.tensor(rows, dtype=torch.int8), None, targets, bag, torch.tensor([0, 30]), torch.zeros(18).long(), 50
    )
    check(name, case)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shared_by", [None, 24])
def test_on_several_threads(name: str, shared_by: int | None) -> None:
    case = edge_case(5, [300] * 24, 96, 20, torch.float32, shared_by)
    for number in (1, 2, 3):
        with threads(number):
            check(name, case)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_one_order_of_sums_loses(name: str) -> None:
    """The true similarity is just below 0; a sum that meets the large products first is exactly 0."""
    width, small = 64, -(2.0**-26)
    row = np.zeros(width)
    row[0], row[1:9], row[-1] = 0.7, small, -0.7
    table = torch.from_numpy(np.stack([np.ones(width), row])).float()
    for shared_by in (1, 16):
        bags, targets = torch.zeros(shared_by).long(), torch.zeros(shared_by).long()
        case = Case(table, None, targets, torch.tensor([1, 1]), torch.tensor([0, 2]), bags, 20)
        assert rounded_once(case)[0, 9] == 2
        check(name, case)


def test_rows_with_no_number_in_common() -> None:
    table = torch.eye(40)
    case = Case(table, None, torch.arange(20), torch.arange(40), torch.tensor([0, 40]), torch.zeros(20).long(), 20)
    for name in NAMES:
        check(name, case)


@given(
    seed=st.integers(0, 2**16),
    lengths=st.lists(st.integers(0, 300), max_size=3),
    width=st.integers(1, 130),
    num_tiers=st.integers(1, 24) | st.sampled_from([64, 255, 256]),
    dtype=st.sampled_from(DTYPES),
    shared_by=st.none() | st.integers(0, 20),
    number=st.sampled_from([1, 2, 3]),
)
@settings(max_examples=60, deadline=None)
def test_any_case(seed: int, lengths: list[int], width: int, num_tiers: int, dtype, shared_by, number: int) -> None:
    case = edge_case(seed, lengths, width, num_tiers, dtype, shared_by)
    with threads(number):
        for name in NAMES:
            check(name, case)


@given(seed=st.integers(0, 2**16), width=st.integers(1, 130), dtype=st.sampled_from(DTYPES))
@settings(max_examples=40, deadline=None)
def test_cosines_of_shared_and_separate_bags(seed: int, width: int, dtype: torch.dtype) -> None:
    """int8: the same bits; else as near as the op says."""
    case = edge_case(seed, [120, 3, 0], width, 20, dtype, 30)
    allowed = 0 if dtype == torch.int8 else width * 2.0**-23 + 2.0**-16 * amx()
    for name in NAMES:
        function, shared = IMPLEMENTATIONS["simtier"][name], torch.zeros(sum(map(len, case.bags())))
        function(*case.arguments, shared)
        begin = 0
        for b, bag in enumerate(case.bags()):
            own = torch.zeros(len(bag))
            function(*alone(case, b).arguments, own)
            differences = (own - shared[begin : begin + len(bag)]).abs()
            assert not len(bag) or float(differences.max()) <= allowed, (name, b)
            begin += len(bag)


def amx() -> bool:
    with open("/proc/cpuinfo") as file:
        return "amx_bf16" in file.read()
