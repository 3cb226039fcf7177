"""The similarities that SimTier leaves where they are asked for: every implementation, the op, and wrong versions."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.kernels.registry import IMPLEMENTATIONS
from embeddings.kernels.simtier.op import simtier, simtier_cosines
from tests.embeddings.kernels.bags import TABLE_DTYPES
from tests.embeddings.kernels.running import DEVICES, require, runnable, threads
from tests.embeddings.kernels.simtier.cases import SHAPES, Case, cosines_agree, edge_case, exact_case, random_case

pytestmark = pytest.mark.filterwarnings(
    "ignore:SimTier and attention run as plain torch"
)  # auto, where nothing is built


@pytest.fixture(params=IMPLEMENTATIONS["simtier"])
def listed(request) -> str:
    return request.param


@pytest.fixture(params=DEVICES)
def counting(request, listed: str) -> tuple[Callable[..., torch.Tensor], str]:
    """An implementation, and the device that it is to run on."""
    require(listed, request.param)
    return IMPLEMENTATIONS["simtier"][listed], request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_cosines_are_right_and_counts_the_same(counting, shape: str, dtype: torch.dtype) -> None:
    function, device = counting
    for own_norms in {False, dtype == torch.int8}:
        case = random_case(7, **SHAPES[shape], dtype=dtype, own_norms=own_norms)
        assert cosines_agree(function, case, device=device)


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_exact_products_stay_exact(listed: str, dtype: torch.dtype) -> None:
    require(listed)
    for width in (1, 2, 5, 16, 33, 64, 96, 128, 200):
        for shared_by in (None, 3, 21):
            case = exact_case(width, [5, 0, 35, 17], width, 20, dtype=dtype, shared_by=shared_by)
            assert cosines_agree(IMPLEMENTATIONS["simtier"][listed], case, allowed=0), (width, shared_by)


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_what_rounding_pushes_past_the_ends_is_kept(listed: str, dtype: torch.dtype) -> None:
    require(listed)
    alone = edge_case(20, [1.5, -1.5, 1.015625, -1.0, 0.25], dtype)
    shared = replace(alone, target_rows=torch.zeros(7).long(), bag_index=torch.zeros(7).long())
    for case in (alone, shared):
        assert cosines_agree(IMPLEMENTATIONS["simtier"][listed], case, allowed=0)


@pytest.mark.parametrize("shared_by", [None, 6])
def test_threads_that_share_a_bag_write_each_cosine_once(shared_by: int | None) -> None:
    case = random_case(8, [3, 0, 40_000, 1, 700, 0, 45], 8, 20, shared_by=shared_by)
    for name in ("vectorised", "native"):
        if name not in runnable("simtier"):
            continue
        for number in (1, 2, 3):
            with threads(number):
                assert cosines_agree(IMPLEMENTATIONS["simtier"][name], case), (name, number)


@given(
    seed=st.integers(0, 2**16),
    lengths=st.lists(st.integers(0, 40), max_size=6),
    width=st.integers(1, 12),
    dtype=st.sampled_from(TABLE_DTYPES),
    index_dtype=st.sampled_from([torch.int32, torch.int64]),
    shared_by=st.none() | st.integers(0, 40),
    own_norms=st.booleans(),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
)
@settings(max_examples=100, deadline=None)
def test_any_case(seed: int, lengths: list[int], width: int, **options) -> None:
    case = random_case(seed, lengths, width, 20, **options)
    for name, function in runnable("simtier").items():
        assert cosines_agree(function, case), name


def test_memory_of_another_size_is_refused() -> None:
    require("native")
    for case in (random_case(1, [3, 4], 6, 10), random_case(1, [3, 4], 6, 10, shared_by=9)):
        pairs = len(case.expected_cosines())
        for wrong in (torch.zeros(pairs - 1), torch.zeros(pairs).double(), torch.zeros(2 * pairs)[::2]):
            with pytest.raises((ValueError, RuntimeError), match="cosines have"):
                IMPLEMENTATIONS["simtier"]["native"](*case.arguments, wrong)


SAMPLES = {
    "plain": random_case(1, [3, 0, 5], 6, 10),
    "int8, uncovered": random_case(2, [3, 0, 5], 6, 10, dtype=torch.int8, before=2, after=1),
    "half, shared": random_case(3, [3, 0, 5], 6, 10, dtype=torch.float16, shared_by=4, index_dtype=torch.int32),
    "empty": random_case(4, [], 6, 10),
    "empty, shared": random_case(4, [], 6, 10, shared_by=0),
}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("implementation", ["auto", *IMPLEMENTATIONS["simtier"]])
def test_the_op_gives_both(sample: str, implementation: str) -> None:
    require(implementation)
    case = SAMPLES[sample]
    counts, cosines = simtier_cosines(*case.arguments, implementation=implementation)
    assert torch.equal(counts, simtier(*case.arguments, implementation))
    assert cosines.dtype == torch.float32 and cosines.shape == case.expected_cosines().shape
    np.testing.assert_allclose(cosines.numpy(), case.expected_cosines(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("sample", SAMPLES)
def test_opcheck(sample: str) -> None:
    torch.library.opcheck(torch.ops.recsys.simtier_cosines.default, (*SAMPLES[sample].arguments, "auto"))


def test_compiles_into_one_graph() -> None:
    compiled = torch.compile(lambda *a: simtier_cosines(*a)[1] * 2, fullgraph=True, backend="aot_eager", dynamic=True)
    for seed, lengths in enumerate([[3, 0, 5], [2, 2, 9, 1]]):
        case = random_case(seed, lengths, 6, 10)
        np.testing.assert_allclose(compiled(*case.arguments).numpy(), 2 * case.expected_cosines(), atol=4e-6, rtol=0)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="num_tiers is 0; allowed: 1 to 256"):
        simtier_cosines(*replace(SAMPLES["plain"], num_tiers=0).arguments)
    case = random_case(0, **SHAPES["shared bags"])
    for wrong in (3, -1):
        case.bag_index[4] = wrong
        with pytest.raises(IndexError, match=f"bag {wrong} is outside the 3 bags"):
            simtier_cosines(*case.arguments)


def _wrong(change: Callable[[np.ndarray, Case], np.ndarray]) -> Callable[..., torch.Tensor]:
    """The reference, its cosines replaced by ``change`` of the right ones."""

    def function(*arguments) -> torch.Tensor:
        case = Case(*arguments[:7])
        if len(arguments) == 8:
            arguments[7].copy_(torch.from_numpy(change(case.expected_cosines(), case)))
        return IMPLEMENTATIONS["simtier"]["reference"](*arguments[:7])

    return function


def _by_bag(cosines: np.ndarray, case: Case) -> np.ndarray:
    """In the order of the bags that targets share, in place of the targets'."""
    of = np.array(case.bag_of())
    ends = np.cumsum(case.offsets.diff().numpy()[of])
    parts = np.split(cosines, ends[:-1])
    return np.concatenate([parts[target] for target in np.argsort(of, kind="stable")])


WRONG = {
    "in the order of bags": _by_bag,
    "clamped": lambda cosines, case: cosines.clip(-1, 1),
    "a tier's middle": lambda cosines, case: np.floor(cosines * 10) / 10 + 0.05,
    "missing behaviours count as -1": lambda cosines, case: np.where(cosines == 0, -1, cosines),
    "known ones moved together": lambda cosines, case: np.sort(cosines),
    "one place further": lambda cosines, case: np.roll(cosines, 1),
    "none": lambda cosines, case: np.zeros_like(cosines),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_variants_are_rejected(name: str) -> None:
    cases = [random_case(1, [7, 0, 12, 5], 8, 10), edge_case(4, [0.5, 1.5, -1.5], torch.float32)]
    cases.append(random_case(0, **SHAPES["shared bags"]))
    right = _wrong(lambda cosines, case: cosines)
    assert all(cosines_agree(right, case) for case in cases)
    assert not all(cosines_agree(_wrong(WRONG[name]), case) for case in cases)
