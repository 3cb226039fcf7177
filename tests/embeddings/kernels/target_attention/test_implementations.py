"""Every implementation of DIN's target attention against numpy in float64: shapes, layers, gammas, softmax, edges."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.conftest import ROOT
from tests.embeddings.kernels.bags import OUT_OF_RANGE
from tests.embeddings.kernels.running import require, runnable, threads
from tests.embeddings.kernels.target_attention.cases import Case, agrees, error, expected, random_case

Kernel = Callable[..., torch.Tensor]


@pytest.fixture(params=list(IMPLEMENTATIONS["target_attention"]))
def name(request) -> str:
    require(request.param)
    return request.param


@pytest.fixture
def kernel(name: str) -> Kernel:
    return IMPLEMENTATIONS["target_attention"][name]


SHAPES = {
    "no targets": dict(lengths=[], width=4, hiddens=[5]),
    "one pair": dict(lengths=[1], width=1, hiddens=[1]),
    "empty bags only": dict(lengths=[0, 0, 0], width=3, hiddens=[4]),
    "empty bags between": dict(lengths=[0, 3, 0, 0, 5, 0], width=8, hiddens=[7]),
    "odd": dict(lengths=[1, 7, 13], width=33, hiddens=[19]),
    "uncovered behaviours": dict(lengths=[4, 0, 6], width=5, hiddens=[6], before=3, after=2),
    "shared bags": dict(lengths=[6, 0, 9], width=5, hiddens=[6], shared_by=11),
    "one bag for many": dict(lengths=[7], width=19, hiddens=[10], shared_by=40),
    "shared and uncovered": dict(lengths=[6, 4], width=5, hiddens=[6], shared_by=9, before=2, after=1),
    "bags without targets": dict(lengths=[3, 4], width=5, hiddens=[6], shared_by=0),
    "no bags, no targets, bag_index": dict(lengths=[], width=5, hiddens=[6], shared_by=0),
    "as by default": dict(lengths=[20, 50], width=16, hiddens=[36], shared_by=9),
}
PARTS = {
    "plain": dict(),
    "cosines": dict(modalities=1),
    "cosines of two modalities": dict(modalities=2),
    "softmax": dict(softmax=True),
    "both": dict(modalities=2, softmax=True),
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
def test_value(kernel: Kernel, shape: str, parts: str, index_dtype: torch.dtype) -> None:
    assert agrees(kernel, random_case(7, **SHAPES[shape], **PARTS[parts], index_dtype=index_dtype))


@pytest.mark.parametrize("hiddens", [[1], [36], [37], [6, 3], [64, 32], [5, 1, 9]], ids=str)
@pytest.mark.parametrize("width", [1, 7, 8, 16, 31, 64])
def test_any_width_and_any_layers(kernel: Kernel, width: int, hiddens: list[int]) -> None:
    for parts in PARTS.values():
        assert agrees(kernel, random_case(width, [5, 0, 20], width, hiddens, shared_by=4, **parts)), parts


# Bags around the ends of 1 to 4 registers of 4, 8 or 16 behaviours, and of blocks of them
def test_every_length_of_a_bag(name: str, kernel: Kernel) -> None:
    lengths = [4, 8, 32] if name == "reference" else [*range(1, 70), 127, 128, 129]
    assert agrees(kernel, random_case(1, lengths, 9, [6]))
    assert agrees(kernel, random_case(1, lengths, 9, [6, 5], modalities=1, softmax=True))


@pytest.mark.parametrize("parts", PARTS)
def test_a_long_bag_and_threads(name: str, kernel: Kernel, parts: str) -> None:
    if name == "reference":
        pytest.skip("one pair at a time")
    alone = random_case(2, [0, 1_000, 2, 700, 3_000], 16, [12], **PARTS[parts])
    shared = random_case(3, [600, 40], 16, [12], shared_by=70, **PARTS[parts])
    for case in (alone, shared):
        results = []
        for number in (1, 2, 3):
            with threads(number):
                results.append(kernel(*case.arguments))
            assert error(results[-1], *expected(case)) <= 1e-6, number  # rounding errors of thousands of terms
        assert name != "native" or all(torch.equal(r, results[0]) for r in results)


def test_a_target_depends_on_nothing_but_its_bag(name: str, kernel: Kernel) -> None:
    """Bit for bit the same alone as among others: a score does not depend on the candidates beside it."""
    if name == "vectorised":
        pytest.skip("a matrix product rounds by its size")
    case = random_case(4, [30, 9], 8, [6], shared_by=40)
    together = kernel(*case.arguments)
    for b in (0, 17, 39):
        alone = replace(case, target=case.target[b : b + 1], bag_index=case.bag_index[b : b + 1])
        assert torch.equal(kernel(*alone.arguments)[0], together[b])


def test_uninitialised_memory_is_never_read(name: str, kernel: Kernel) -> None:
    if name == "reference":
        pytest.skip("it has none")
    torch.use_deterministic_algorithms(True)  # fills torch.empty with NaN
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        for parts in PARTS.values():
            for lengths, hiddens in (([0, 40, 7], [9, 3]), ([], [3]), ([0, 0], [3])):
                assert agrees(kernel, random_case(3, lengths, 5, hiddens, **parts))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("shared", [False, True])
def test_bags_do_not_touch_each_other(kernel: Kernel, shared: bool) -> None:
    case = random_case(5, [20, 3, 5], 6, [5])
    if shared:
        case.bag_index = torch.tensor([0, 1, 2])
    right = kernel(*case.arguments)
    case.behaviours[:20] = torch.nan
    result = kernel(*case.arguments)
    assert result[0].isnan().all() and torch.equal(result[1:], right[1:])


@pytest.mark.parametrize("spread", [1e-3, 30.0, 1e4])
@pytest.mark.parametrize("softmax", [False, True])
def test_units_far_from_0(kernel: Kernel, spread: float, softmax: bool) -> None:
    """Sigmoids that are all but 0, 1/2 or 1, and powers beyond float32's range."""
    assert agrees(kernel, random_case(6, [40, 3], 8, [12, 6], spread=spread, softmax=softmax))


def silu_case(points: torch.Tensor) -> Case:
    """One hidden unit, which is a behaviour's first number; the result's second one sums silu(points)."""
    one = torch.ones(1)
    return Case(
        torch.zeros(len(points), 2),
        torch.stack([points, torch.ones(len(points))], dim=1),
        torch.arange(len(points) + 1),
        None,
        torch.zeros(1, 2),
        0 * one,
        torch.tensor([[1.0, 0, 0, 0]]),
        [one[None]],
        [0 * one],
    )


def test_silu_itself(kernel: Kernel) -> None:
    """To within 4e-7 of itself wherever it is not tiny: exp, the sum, the quotient and the scaled weight."""
    points = torch.cat([torch.linspace(-17, 17, 401), torch.tensor([0.0, 1e-8, -1e-8, 88, 89, 1e4, 1e30])])
    silu = kernel(*silu_case(points).arguments)[:, 1].double()
    exact = torch.nn.functional.silu(points.double())
    # 2^x of a float32 x cannot be nearer than |x| half units in the last place
    allowed = 4e-7 + 1.2e-7 * points.double().clamp(max=0).abs()
    assert ((silu - exact).abs() <= allowed * exact.abs()).all()
    far = kernel(*silu_case(torch.tensor([-87.0, -89.0, -200.0, -1e30])).arguments)[:, 1]
    assert (far <= 0).all() and (far >= -1e-20).all()


def test_softmax_of_large_scores_is_finite(kernel: Kernel) -> None:
    case = random_case(7, [4, 0, 1], 6, [5], softmax=True)
    case.biases[-1] += 1e4
    result = kernel(*case.arguments)
    assert result.isfinite().all() and not result[1].any()
    torch.testing.assert_close(result[2], case.behaviours[4])
    case.weights[-1] *= 1e4  # one behaviour takes all
    assert kernel(*case.arguments).isfinite().all()


def test_strided_arguments(kernel: Kernel) -> None:
    case = random_case(5, [3, 0, 8], 9, [12, 4], shared_by=6, modalities=2)
    apart = case.strided()
    assert not any(
        t.is_contiguous() for t in (apart.target, apart.behaviours, apart.pair, apart.weights[0], apart.gamma)
    )
    assert agrees(kernel, apart)
    assert agrees(kernel, case.map(lambda t: t.t().contiguous().t() if t.ndim == 2 else t))


def test_arguments_are_left_alone(kernel: Kernel) -> None:
    case = random_case(6, [3, 0, 8], 9, [12, 4], shared_by=4, modalities=1, softmax=True)
    before = case.map(torch.clone)
    kernel(*case.arguments)
    for a, b in zip(case.arguments, before.arguments, strict=True):
        assert all(map(torch.equal, a, b)) if isinstance(a, list) else a is b or torch.equal(a, b)


@pytest.mark.parametrize("wrong", OUT_OF_RANGE)
def test_bags_out_of_range_are_never_answered(name: str, kernel: Kernel, wrong: str) -> None:
    if name == "reference":
        pytest.skip("it slices as Python does")
    case = replace(random_case(6, [3, 4], 9, [12]), **OUT_OF_RANGE[wrong])
    with pytest.raises((IndexError, RuntimeError)):
        kernel(*case.arguments)


@given(
    seed=st.integers(0, 2**16),
    lengths=st.lists(st.integers(0, 20), max_size=5),
    width=st.integers(1, 20),
    hiddens=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    shared_by=st.none() | st.integers(0, 8),
    modalities=st.integers(0, 3),
    softmax=st.booleans(),
    index_dtype=st.sampled_from([torch.int32, torch.int64]),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
)
@settings(max_examples=80, deadline=None)
def test_any_case(seed: int, lengths: list[int], width: int, hiddens: list[int], **options) -> None:
    case = random_case(seed, lengths, width, hiddens, **options)
    for name, kernel in runnable("target_attention").items():
        assert agrees(kernel, case), name


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["portable", "avx2", "avx512"])
def test_narrower_instructions(instructions: str) -> None:
    """A machine without a set takes the next narrower one, so each is run where it is not the widest."""
    require("native")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "native and not narrower",
        __file__,
    ]
    environment = {**os.environ, "TIERWISE_ISA": instructions}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
