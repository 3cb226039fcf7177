"""MAKE's attention as a torch op: schema, fake tensors, compilation, autograd, autocast, argument errors."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from embeddings.kernels.make_attention.op import make_attention
from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.embeddings.kernels.bags import strided
from tests.embeddings.kernels.make_attention.cases import (
    PARAMETERS,
    TOLERANCE,
    Case,
    agrees,
    error,
    expected,
    gradient_error,
    random_case,
)
from tests.embeddings.kernels.running import require

pytestmark = pytest.mark.filterwarnings(
    "ignore:SimTier and attention run as plain torch"
)  # auto, where nothing is built

SAMPLES = {
    "plain": random_case(1, [3, 0, 5], 6, 7),
    "int8": random_case(2, [3, 0, 5], 6, 7, dtype=torch.int8),
    "half, shared": random_case(3, [3, 0, 5], 6, 7, dtype=torch.float16, shared_by=4, index_dtype=torch.int32),
    "empty": random_case(4, [], 6, 7),
}
NAMES = ["auto", *IMPLEMENTATIONS["make_attention"]]


def wanting(case: Case, *names: str) -> Case:
    """The case with copies of the parameters of these ``names`` that require a gradient."""
    return replace(case, **{name: getattr(case, name).clone().requires_grad_() for name in names})


def grads(case: Case) -> list[torch.Tensor]:
    return [getattr(case, name).grad for name in PARAMETERS]


def value_and_gradients(
    function: Callable[..., torch.Tensor], case: Case, upstream: torch.Tensor | None = None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """By autograd, for a gradient of the result: the case's own if none is given."""
    case = wanting(case, *PARAMETERS)
    value = function(*case.arguments)
    value.backward(case.upstream() if upstream is None else upstream)
    return value.detach(), grads(case)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", NAMES)
def test_dispatch(sample: str, name: str) -> None:
    require(name)
    case = SAMPLES[sample]
    value, gradients = value_and_gradients(lambda *arguments: make_attention(*arguments, implementation=name), case)
    assert error(value, *expected(case)) <= TOLERANCE
    assert gradient_error(gradients, case, case.upstream()) <= TOLERANCE


@pytest.mark.parametrize("sample", SAMPLES)
def test_opcheck(sample: str) -> None:
    case = SAMPLES[sample]
    torch.library.opcheck(torch.ops.recsys.make_attention.default, (*case.arguments, "auto"))
    torch.library.opcheck(torch.ops.recsys.make_attention.default, (*wanting(case, *PARAMETERS).arguments, "auto"))
    backward = torch.ops.recsys.make_attention_backward.default
    torch.library.opcheck(backward, (case.upstream(), *case.arguments, "auto"))


def test_compiles_into_one_graph_for_changing_sizes() -> None:
    compiled = torch.compile(lambda *a: make_attention(*a) * 2, fullgraph=True, backend="aot_eager", dynamic=True)
    for seed, lengths in enumerate([[3, 0, 5], [2, 2, 9, 1], [4] * 7]):
        case = random_case(seed, lengths, 6, 7)
        value, gradients = value_and_gradients(compiled, case)
        assert error(value / 2, *expected(case)) <= TOLERANCE
        assert gradient_error([g / 2 for g in gradients], case, case.upstream()) <= TOLERANCE


def test_fake_tensors_have_the_real_shape_dtype_and_device() -> None:
    value, gradients = value_and_gradients(make_attention, SAMPLES["int8"].on("meta"), torch.empty(3, 6, device="meta"))
    assert (value.shape, value.dtype, value.device.type) == ((3, 6), torch.float32, "meta")
    assert [g.shape for g in gradients] == [(7, 24), (7,), (7,), (7,)]
    assert all((g.dtype, g.device.type) == (torch.float32, "meta") for g in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name: str) -> None:
    require(name)
    case = random_case(5, [30, 0, 9], 16, 12)

    def attend(*arguments: torch.Tensor | None) -> torch.Tensor:
        return make_attention(*arguments, implementation=name)

    value, gradients = value_and_gradients(attend, case)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again, gradients_again = value_and_gradients(attend, case)
    assert again.dtype == torch.float32 and torch.equal(again, value)
    assert all(torch.equal(a, b) for a, b in zip(gradients_again, gradients, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_with_strides(name: str) -> None:
    require(name)
    case = SAMPLES["plain"]
    upstream = case.upstream()
    for apart in (strided(upstream), upstream.t().contiguous().t(), upstream[:1].expand_as(upstream)):
        _, gradients = value_and_gradients(lambda *a: make_attention(*a, implementation=name), case, apart)
        assert gradient_error(gradients, case, apart) <= TOLERANCE


@pytest.mark.parametrize("names", [("weight",), ("slope",), ("bias", "score"), ("weight", "bias", "score")])
def test_only_some_parameters_want_a_gradient(names: tuple[str, ...]) -> None:
    case = SAMPLES["plain"]
    _, wanted = value_and_gradients(make_attention, case)
    some = wanting(case, *names)
    make_attention(*some.arguments).backward(case.upstream())
    for name, gradient, right in zip(PARAMETERS, grads(some), wanted, strict=True):
        assert torch.equal(gradient, right) if name in names else gradient is None, name


def test_no_gradient_is_wanted() -> None:
    assert not make_attention(*SAMPLES["plain"].arguments).requires_grad
    with torch.no_grad():
        assert not make_attention(*wanting(SAMPLES["plain"], *PARAMETERS).arguments).requires_grad


def test_gradients_of_two_calls_add_up() -> None:
    case, other = SAMPLES["plain"], replace(SAMPLES["int8"], **{n: getattr(SAMPLES["plain"], n) for n in PARAMETERS})
    shared = wanting(case, *PARAMETERS)
    second = replace(other, **{name: getattr(shared, name) for name in PARAMETERS})
    upstream = case.upstream()
    ((make_attention(*shared.arguments) + make_attention(*second.arguments)) * upstream).sum().backward()
    apart = [value_and_gradients(make_attention, each, upstream)[1] for each in (case, other)]
    for gradient, one, two in zip(grads(shared), *apart, strict=True):
        torch.testing.assert_close(gradient, one + two)


def test_a_table_that_wants_a_gradient() -> None:
    case = wanting(SAMPLES["plain"], "table", *PARAMETERS)
    with pytest.raises(ValueError, match=r"the frozen table requires a gradient, and none is computed; detach\(\) it"):
        make_attention(*case.arguments)
    around = torch.ops.recsys.make_attention(*case.arguments, "auto")
    with pytest.raises(RuntimeError, match="the frozen table requires a gradient"):
        around.sum().backward()
    assert agrees(make_attention, replace(case, table=case.table.detach()))


PLAIN, INT8 = SAMPLES["plain"], SAMPLES["int8"]
SHARED = replace(PLAIN, bag_index=torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (replace(PLAIN, table=PLAIN.table.double()), r"table is torch.float64 \[40, 6\]; allowed: .*bfloat16"),
        (replace(PLAIN, table=PLAIN.table[0]), r"table is torch.float32 \[6\]"),
        (replace(PLAIN, table=PLAIN.table[:, :0]), r"table is torch.float32 \[40, 0\].* M >= 1"),
        (replace(INT8, scale=None), "table is torch.int8 and scale None; allowed: a scale for int8"),
        (replace(PLAIN, scale=torch.ones(40)), r"table is torch.float32 and scale torch.float32 \[40\]"),
        (replace(INT8, scale=INT8.scale[1:]), r"scale is torch.float32 \[39\]; allowed: float32 \[40\]"),
        (replace(PLAIN, target_rows=PLAIN.target_rows.float()), r"target_rows is torch.float32 \[3\]"),
        (replace(PLAIN, history_rows=PLAIN.history_rows[None]), r"history_rows is torch.int64 \[1, 8\]"),
        (replace(PLAIN, offsets=PLAIN.offsets.short()), "offsets is torch.int16"),
        (replace(PLAIN, offsets=PLAIN.offsets[:-1]), "3 targets but offsets of 2 bags; without bag_index"),
        (replace(PLAIN, offsets=PLAIN.offsets[:0]), "offsets is empty"),
        (replace(SHARED, bag_index=torch.tensor([True] * 3)), "bag_index is torch.bool"),
        (replace(SHARED, bag_index=torch.tensor([0, 1])), "3 targets but 2 in bag_index"),
        (replace(PLAIN, bias=PLAIN.bias[:0]), r"bias is torch.float32 \[0\]; allowed: float32 \[H\] with H >= 1"),
        (replace(PLAIN, bias=PLAIN.bias[None]), r"bias is torch.float32 \[1, 7\]; allowed: float32 \[H\]"),
        (replace(PLAIN, bias=PLAIN.bias.double()), r"bias is torch.float64 \[7\]; allowed: float32 \[7\]"),
        (replace(PLAIN, weight=PLAIN.weight[:, :18]), r"weight is torch.float32 \[7, 18\]; allowed: float32 \[7, 24\]"),
        (replace(PLAIN, weight=PLAIN.weight.t()), r"weight is torch.float32 \[24, 7\]; allowed: float32 \[7, 24\]"),
        (replace(PLAIN, weight=PLAIN.weight.half()), r"weight is torch.float16 \[7, 24\]"),
        (replace(PLAIN, slope=PLAIN.slope[:1]), r"slope is torch.float32 \[1\]; allowed: float32 \[7\]"),
        (replace(PLAIN, score=PLAIN.score[None]), r"score is torch.float32 \[1, 7\]; allowed: float32 \[7\]"),
        (replace(PLAIN, score=PLAIN.score.bfloat16()), r"score is torch.bfloat16 \[7\]"),
        (replace(PLAIN, offsets=PLAIN.offsets.to("meta")), "offsets is on meta but table on cpu"),
        (replace(PLAIN, slope=PLAIN.slope.to("meta")), "slope is on meta but table on cpu"),
    ],
)
def test_wrong_arguments_are_named(case: Case, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_attention(*case.arguments)


def test_unknown_implementation() -> None:
    message = "make_attention has no implementation 'fast'; allowed: auto, reference, vectorised"
    with pytest.raises(ValueError, match=message):
        make_attention(*PLAIN.arguments, implementation="fast")
