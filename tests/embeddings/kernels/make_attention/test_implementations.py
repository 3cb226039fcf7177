"""Every implementation of MAKE's attention, value and gradients, against numpy in float64: shapes, dtypes, edges."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.embeddings.kernels.bags import OUT_OF_RANGE, TABLE_DTYPES, strided, table_beyond_32_bits
from tests.embeddings.kernels.make_attention.cases import (
    TOLERANCE,
    Case,
    agrees,
    error,
    expected,
    expected_gradients,
    gradient_error,
    gradients_agree,
    random_case,
)
from tests.embeddings.kernels.running import DEVICES, require, runnable, threads

LISTED = list(IMPLEMENTATIONS["make_attention"])
FORWARD, BACKWARD = IMPLEMENTATIONS["make_attention"], IMPLEMENTATIONS["make_attention_backward"]


@dataclass
class Kernel:
    """An implementation on a device: it takes arguments on CPU, and moves them."""

    name: str
    device: str = "cpu"

    def value(self, *arguments: torch.Tensor | None) -> torch.Tensor:
        return FORWARD[self.name](*self._moved(arguments))

    def gradients(self, *arguments: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        return BACKWARD[self.name](*self._moved(arguments))

    def _moved(self, arguments: tuple) -> list:
        return [a if a is None else a.to(self.device) for a in arguments]

    def right(self, case: Case, tolerance: float = TOLERANCE) -> bool:
        return agrees(self.value, case, tolerance) and gradients_agree(self.gradients, case, tolerance)


@pytest.fixture(params=LISTED)
def listed(request) -> str:
    return request.param


@pytest.fixture(params=DEVICES)
def kernel(request, listed: str) -> Kernel:
    require(listed, request.param)
    return Kernel(listed, request.param)


@pytest.fixture
def on_cpu(listed: str) -> Kernel:
    require(listed)
    return Kernel(listed)


SHAPES = {
    "no targets": dict(lengths=[], width=4, hiddens=5),
    "one pair": dict(lengths=[1], width=1, hiddens=1),
    "empty bags only": dict(lengths=[0, 0, 0], width=3, hiddens=4),
    "empty bags between": dict(lengths=[0, 3, 0, 0, 5, 0], width=8, hiddens=7),
    "odd": dict(lengths=[1, 7, 13], width=33, hiddens=19),
    "uncovered history": dict(lengths=[4, 0, 6], width=5, hiddens=6, before=3, after=2),
    "shared bags": dict(lengths=[6, 0, 9], width=5, hiddens=6, shared_by=11),
    "one bag for many": dict(lengths=[7], width=19, hiddens=10, shared_by=40),
    "shared and uncovered": dict(lengths=[6, 4], width=5, hiddens=6, shared_by=9, before=2, after=1),
    "bags without targets": dict(lengths=[3, 4], width=5, hiddens=6, shared_by=0),
    "no bags, no targets, bag_index": dict(lengths=[], width=5, hiddens=6, shared_by=0),
    "production-like": dict(lengths=[20] * 20, width=64, hiddens=36),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
def test_value_and_gradients(kernel: Kernel, shape: str, dtype: torch.dtype, index_dtype: torch.dtype) -> None:
    assert kernel.right(random_case(7, **SHAPES[shape], dtype=dtype, index_dtype=index_dtype))


@pytest.mark.parametrize("width", [1, 5, 16, 31, 64, 128, 200])
@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_any_number_of_hidden_units(kernel: Kernel, width: int, dtype: torch.dtype) -> None:
    for hiddens in (1, 6, 7, 36, 64, 65):
        assert kernel.right(random_case(hiddens, [5, 0, 9], width, hiddens, dtype=dtype)), hiddens


# Whole tiles of numbers, and bags beyond their 16 behaviours a tile, 32 a product and 128 a sum; a tenth is missing
@pytest.mark.parametrize("width", [32, 96, 128])
@pytest.mark.parametrize("hiddens", [1, 36, 65])
@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_bags_as_tiles_want_them(on_cpu: Kernel, dtype: torch.dtype, hiddens: int, width: int) -> None:
    if on_cpu.name == "reference":
        pytest.skip("one pair at a time")
    case = random_case(hiddens, [20, 0, 40, 300], width, hiddens, dtype=dtype)
    exact = dtype in (torch.int8, torch.bfloat16)  # of the others, tiles leave out the last 2^-17 of a product
    assert on_cpu.right(case, TOLERANCE if exact else 5e-6)


@pytest.mark.parametrize("shared_by", [None, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8], ids=str)
def test_a_long_bag(on_cpu: Kernel, dtype: torch.dtype, shared_by: int | None) -> None:
    if on_cpu.name == "reference":
        pytest.skip("one pair at a time")
    case = random_case(2, [0, 5_000, 2], 16, 7, dtype=dtype, shared_by=shared_by, rows=300)
    for number in (1, 2, 3):
        with threads(number):
            assert on_cpu.right(case, 5e-6), number  # rounding errors of thousands of terms


@pytest.mark.parametrize("number", [1, 2, 3])
def test_threads(on_cpu: Kernel, number: int) -> None:
    with threads(number):
        for seed, shared_by in enumerate([None, 9]):
            assert on_cpu.right(random_case(seed, [3, 0, 150, 1, 40] * 3, 16, 7, shared_by=shared_by))


def test_uninitialised_memory_is_never_read(on_cpu: Kernel) -> None:
    cases = [random_case(3, [0, 40, 7], 33, 9), random_case(3, [], 5, 3), random_case(3, [0, 0], 5, 3)]
    torch.use_deterministic_algorithms(True)  # fills torch.empty with NaN
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        assert all(on_cpu.right(case) for case in cases)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_target_without_known_behaviours_gets_zeros(kernel: Kernel) -> None:
    case = random_case(4, [3, 4, 0, 2], 6, 5)
    targets, history = torch.tensor([1, -1, 2, 3]), torch.tensor([1, -1, 2, 4, 5, 6, 7, -1, -1])
    case = replace(case, target_rows=targets, history_rows=history)
    assert kernel.right(case)
    assert [bool(row.any()) for row in kernel.value(*case.arguments)] == [True, False, False, False]


def test_a_hidden_unit_of_exactly_0_has_the_slope(kernel: Kernel) -> None:
    case = random_case(5, [4], 6, 3)
    case = replace(case, target_rows=torch.tensor([1]), history_rows=torch.tensor([1, 2, 3, 4]))
    case = replace(case, weight=torch.zeros(3, 24), bias=torch.zeros(3))
    upstream = case.upstream()
    gradients = kernel.gradients(upstream, *case.arguments)
    wanted, _ = expected_gradients(case, upstream.double().numpy())
    assert not kernel.value(*case.arguments).any() and not gradients[2].any() and not gradients[3].any()
    assert np.abs(wanted[0]).max() > 0.01 and np.abs(wanted[1]).max() > 0.01
    for gradient, right in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient.cpu().numpy(), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize("shared_by", [None, 6])
def test_strided_and_transposed_arguments(kernel: Kernel, dtype: torch.dtype, shared_by: int | None) -> None:
    case = random_case(5, [3, 0, 8], 9, 12, dtype=dtype, shared_by=shared_by)
    apart = case.strided()
    assert not apart.table.is_contiguous() and not apart.weight.is_contiguous() and not apart.score.is_contiguous()
    assert kernel.right(apart)
    turned = {name: getattr(case, name).t().contiguous().t() for name in ("table", "weight")}
    assert kernel.right(replace(case, **turned))


@pytest.mark.parametrize("shared_by", [None, 6])
def test_strided_gradient(kernel: Kernel, shared_by: int | None) -> None:
    case = random_case(5, [3, 0, 8], 9, 12, shared_by=shared_by)
    upstream = case.upstream()
    for apart in (strided(upstream), upstream.t().contiguous().t(), upstream[:1].expand_as(upstream)):
        assert not apart.is_contiguous()
        assert gradient_error(kernel.gradients(apart, *case.arguments), case, apart) <= TOLERANCE


def test_arguments_are_left_alone(on_cpu: Kernel) -> None:
    case = random_case(6, [3, 0, 8], 9, 12, dtype=torch.int8, shared_by=4)
    arguments = (case.upstream(), *case.arguments)
    before = [a.clone() for a in arguments]
    on_cpu.value(*arguments[1:])
    on_cpu.gradients(*arguments)
    assert all(torch.equal(a, b) for a, b in zip(arguments, before, strict=True))


def test_results_share_no_memory(on_cpu: Kernel) -> None:
    case = random_case(6, [3, 0, 8], 9, 12)
    gradients = on_cpu.gradients(case.upstream(), *case.arguments)
    assert len({tensor.untyped_storage().data_ptr() for tensor in (*gradients, *case.arguments[6:])}) == 8


def test_rows_out_of_range_are_never_answered(on_cpu: Kernel) -> None:
    case = random_case(6, [3, 4], 9, 12)
    for row in (-2, 40, 2**31 - 1):
        for wrong in ({"history_rows": torch.full((7,), row)}, {"target_rows": torch.full((2,), row)}):
            known = {"target_rows": torch.tensor([1, 2]), "history_rows": torch.arange(7)}
            arguments = replace(case, **(known | wrong)).arguments
            with pytest.raises((AssertionError, IndexError, RuntimeError)):
                on_cpu.value(*arguments)
            with pytest.raises((AssertionError, IndexError, RuntimeError)):
                on_cpu.gradients(case.upstream(), *arguments)


@pytest.mark.parametrize("wrong", OUT_OF_RANGE)
def test_bags_out_of_range_are_never_answered(on_cpu: Kernel, wrong: str) -> None:
    if on_cpu.name == "reference":
        pytest.skip("it slices as Python does")
    case = random_case(6, [3, 4], 9, 12)
    case = replace(case, target_rows=torch.tensor([1, 2]), history_rows=torch.arange(7), **OUT_OF_RANGE[wrong])
    with pytest.raises((IndexError, RuntimeError)):
        on_cpu.value(*case.arguments)
    with pytest.raises((IndexError, RuntimeError)):
        on_cpu.gradients(case.upstream(), *case.arguments)


@given(
    seed=st.integers(0, 2**16),
    lengths=st.lists(st.integers(0, 9), max_size=5),
    width=st.integers(1, 20),
    hiddens=st.integers(1, 20),
    dtype=st.sampled_from(TABLE_DTYPES),
    index_dtype=st.sampled_from([torch.int32, torch.int64]),
    shared_by=st.none() | st.integers(0, 8),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
)
@settings(max_examples=80, deadline=None)
def test_any_case(seed: int, lengths: list[int], width: int, hiddens: int, **options) -> None:
    case = random_case(seed, lengths, width, hiddens, **options)
    for name in runnable("make_attention"):
        assert Kernel(name).right(case), name


@given(seed=st.integers(0, 2**16), lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), data=st.data())
@settings(max_examples=40, deadline=None)
def test_parts_of_a_history_add_up(seed: int, lengths: list[int], data: st.DataObject) -> None:
    case = random_case(seed, lengths, 8, 6)
    bags = case.history_rows.split(lengths)
    cuts = [data.draw(st.integers(0, n)) for n in lengths]

    def part(rows: list[torch.Tensor]) -> Case:
        offsets = torch.tensor([0, *np.cumsum([len(r) for r in rows])])
        return replace(case, history_rows=torch.cat(rows), offsets=offsets)

    first = part([b[:c] for b, c in zip(bags, cuts, strict=True)])
    rest = part([b[c:] for b, c in zip(bags, cuts, strict=True)])
    upstream = case.upstream()
    for name in runnable("make_attention"):
        kernel = Kernel(name)
        total = kernel.value(*first.arguments) + kernel.value(*rest.arguments)
        assert error(total, *expected(case)) <= TOLERANCE, name
        both = [kernel.gradients(upstream, *each.arguments) for each in (first, rest)]
        assert gradient_error([a + b for a, b in zip(*both, strict=True)], case, upstream) <= TOLERANCE, name


@pytest.mark.slow
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
def test_a_table_beyond_32_bits(on_cpu: Kernel, index_dtype: torch.dtype) -> None:
    rows = [0, 5, *range(2**31 // 64 - 2, 2**31 // 64 + 100, 3)]
    table, scale = table_beyond_32_bits(rows, np.random.default_rng(10))
    few = random_case(11, [9, 0, 11, 10], 64, 7, rows=len(rows), index_dtype=index_dtype)
    few = replace(few, table=table[rows], scale=scale[rows])
    place = torch.tensor([*rows, -1], dtype=index_dtype)  # -1 stays -1
    target_rows, history_rows = place[few.target_rows.long()], place[few.history_rows.long()]
    large = replace(few, table=table, scale=scale, target_rows=target_rows, history_rows=history_rows)
    upstream = few.upstream()
    assert error(on_cpu.value(*large.arguments), *expected(few)) <= TOLERANCE
    assert gradient_error(on_cpu.gradients(upstream, *large.arguments), few, upstream) <= TOLERANCE
