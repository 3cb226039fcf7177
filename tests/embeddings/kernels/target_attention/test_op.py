"""DIN's target attention as a torch op: schema, fake tensors, compilation, no gradients, autocast, argument errors."""

from dataclasses import replace

import pytest
import torch

from embeddings.kernels.registry import IMPLEMENTATIONS
from embeddings.kernels.target_attention.op import target_attention
from tests.embeddings.kernels.running import require
from tests.embeddings.kernels.target_attention.cases import TOLERANCE, Case, agrees, error, expected, random_case

pytestmark = pytest.mark.filterwarnings(
    "ignore:SimTier and attention run as plain torch"
)  # auto, where nothing is built

SAMPLES = {
    "plain": random_case(1, [3, 0, 5], 6, [7]),
    "layers, shared": random_case(2, [3, 0, 5], 6, [7, 4], shared_by=4, index_dtype=torch.int32),
    "all parts": random_case(3, [3, 0, 5], 6, [7], shared_by=4, modalities=2, softmax=True),
    "empty": random_case(4, [], 6, [7]),
}
NAMES = ["auto", *IMPLEMENTATIONS["target_attention"]]
OP = torch.ops.recsys.target_attention


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", NAMES)
def test_dispatch(sample: str, name: str) -> None:
    require(name)
    assert agrees(lambda *arguments: target_attention(*arguments, implementation=name), SAMPLES[sample])


@pytest.mark.parametrize("sample", SAMPLES)
def test_opcheck(sample: str) -> None:
    torch.library.opcheck(OP.default, (*SAMPLES[sample].arguments, "auto"))


def test_compiles_into_one_graph_for_changing_sizes() -> None:
    compiled = torch.compile(lambda *a: target_attention(*a) * 2, fullgraph=True, backend="aot_eager", dynamic=True)
    for seed, lengths in enumerate([[3, 0, 5], [2, 2, 9, 1], [4] * 7]):
        case = random_case(seed, lengths, 6, [7, 3], shared_by=5)
        assert error(compiled(*case.arguments) / 2, *expected(case)) <= TOLERANCE


def test_fake_tensors_have_the_real_shape_dtype_and_device() -> None:
    value = target_attention(*SAMPLES["layers, shared"].map(lambda t: t.to("meta")).arguments)
    assert (value.shape, value.dtype, value.device.type) == ((4, 6), torch.float32, "meta")


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name: str) -> None:
    require(name)
    case = random_case(5, [30, 0, 9], 16, [12, 5])
    value = target_attention(*case.arguments, implementation=name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = target_attention(*case.arguments, implementation=name)
    assert again.dtype == torch.float32 and torch.equal(again, value)


@pytest.mark.parametrize("which", ["target", "behaviours", "query", "pair", "weights", "biases", "gamma", "cosines"])
def test_a_gradient_is_refused(which: str) -> None:
    case = SAMPLES["all parts"].map(torch.clone)
    of = getattr(case, which)
    (of[0] if isinstance(of, list) else of).requires_grad_()
    for function in (target_attention, lambda *arguments: OP(*arguments, "auto")):
        with pytest.raises(
            ValueError, match=r"a gradient is wanted, and none is computed; call it under torch.no_grad"
        ):
            function(*case.arguments)
    with torch.no_grad():
        assert agrees(target_attention, case)


PLAIN, PARTS = SAMPLES["plain"], SAMPLES["all parts"]
SHARED = replace(PLAIN, bag_index=torch.tensor([0, 1, 2]))
DEEP = SAMPLES["layers, shared"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (replace(PLAIN, target=PLAIN.target.double()), r"target is torch.float64 \[3, 6\]; allowed: float32 \[3, 6\]"),
        (replace(PLAIN, target=PLAIN.target[0]), r"target is torch.float32 \[6\]; allowed: float32 \[B, D\]"),
        (replace(PLAIN, target=PLAIN.target[:, :0]), r"target is torch.float32 \[3, 0\].* D >= 1"),
        (replace(PLAIN, behaviours=PLAIN.behaviours[:, 1:]), r"behaviours is .* \[8, 5\]; allowed: float32 \[8, 6\]"),
        (replace(PLAIN, behaviours=PLAIN.behaviours.half()), r"behaviours is torch.float16 \[8, 6\]"),
        (replace(PLAIN, behaviours=PLAIN.behaviours.to("meta")), "behaviours is on meta but target on cpu"),
        (replace(PLAIN, offsets=PLAIN.offsets.short()), "offsets is torch.int16"),
        (replace(PLAIN, offsets=PLAIN.offsets[:-1]), "3 targets but offsets of 2 bags; without bag_index"),
        (replace(PLAIN, offsets=PLAIN.offsets[:0]), "offsets is empty"),
        (replace(PLAIN, offsets=PLAIN.offsets.to("meta")), "offsets is on meta but target on cpu"),
        (replace(SHARED, bag_index=torch.tensor([True] * 3)), "bag_index is torch.bool"),
        (replace(SHARED, bag_index=torch.tensor([0, 1])), "3 targets but 2 in bag_index"),
        (replace(PLAIN, query=PLAIN.query[:, 1:]), r"query is torch.float32 \[7, 5\]; allowed: float32 \[7, 6\]"),
        (replace(PLAIN, query=PLAIN.query[:0]), r"query is torch.float32 \[0, 6\]; allowed: float32 \[H, 6\]"),
        (replace(PLAIN, query_bias=PLAIN.query_bias[1:]), r"query_bias is torch.float32 \[6\]; allowed: float32 \[7\]"),
        (replace(PLAIN, pair=PLAIN.pair[:, :6]), r"pair is torch.float32 \[7, 6\]; allowed: float32 \[7, 12\]"),
        (replace(PLAIN, weights=[], biases=[]), "0 weights and 0 biases; allowed: one of each a layer"),
        (replace(PLAIN, biases=PLAIN.biases * 2), "1 weights and 2 biases"),
        (replace(PLAIN, weights=[PLAIN.query]), r"weights\[0\] is torch.float32 \[7, 6\]; allowed: float32 \[1, 7\]"),
        (replace(DEEP, weights=DEEP.weights[::-1]), r"weights\[0\] is .* \[1, 4\]; allowed: float32 \[4, 7\]"),
        (replace(DEEP, biases=[DEEP.biases[1], DEEP.biases[1]]), r"weights\[0\] is .* \[4, 7\]; allowed: .* \[1, 7\]"),
        (replace(PLAIN, gamma=PARTS.gamma), r"gamma is torch.float32 \[5\] and cosines None; allowed: both or none"),
        (replace(PARTS, gamma=None), r"gamma is None and cosines torch.float32 .*; allowed: both or none"),
        (replace(PARTS, gamma=PARTS.gamma[1:]), r"gamma is torch.float32 \[4\]; allowed: float32 \[5\]"),
        (replace(PARTS, cosines=PARTS.cosines[:, 0]), r"cosines is torch.float32 \[\d+\]; allowed: float32 \[\d+, 0\]"),
        (replace(PARTS, cosines=PARTS.cosines[1:]), r"cosines of \d+ pairs; allowed: \d+, target after target"),
        (replace(PLAIN, gamma=torch.ones(3), cosines=torch.ones(7, 1)), r"cosines is .* \[7, 1\]; allowed: .*\[8, 1\]"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(case: Case, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        target_attention(*case.arguments)


def test_unknown_implementation() -> None:
    message = "target_attention has no implementation 'fast'; allowed: auto, reference, vectorised, native"
    with pytest.raises(ValueError, match=message):
        target_attention(*PLAIN.arguments, implementation="fast")
