"""SimTier as a torch op: schema, fake tensors, compilation, argument errors, dispatch."""

from dataclasses import replace

import pytest
import torch

from embeddings.kernels.registry import IMPLEMENTATIONS
from embeddings.kernels.simtier.op import simtier
from tests.embeddings.kernels.running import require
from tests.embeddings.kernels.simtier.cases import Case, agrees, random_case

pytestmark = pytest.mark.filterwarnings(
    "ignore:SimTier and attention run as plain torch"
)  # auto, where nothing is built

SAMPLES = {
    "plain": random_case(1, [3, 0, 5], 6, 10),
    "int8": random_case(2, [3, 0, 5], 6, 10, dtype=torch.int8),
    "half, shared": random_case(3, [3, 0, 5], 6, 10, dtype=torch.float16, shared_by=4, index_dtype=torch.int32),
    "empty": random_case(4, [], 6, 10),
}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("implementation", ["auto", *IMPLEMENTATIONS["simtier"]])
def test_dispatch(sample: str, implementation: str) -> None:
    require(implementation)
    assert agrees(lambda *arguments: simtier(*arguments, implementation), SAMPLES[sample])


@pytest.mark.parametrize("sample", SAMPLES)
def test_opcheck(sample: str) -> None:
    torch.library.opcheck(torch.ops.recsys.simtier.default, (*SAMPLES[sample].arguments, "auto"))


def test_compiles_into_one_graph_for_changing_sizes() -> None:
    compiled = torch.compile(lambda *a: simtier(*a).log1p() + 1, fullgraph=True, backend="aot_eager", dynamic=True)
    for seed, lengths in enumerate([[3, 0, 5], [2, 2, 9, 1], [4] * 7]):
        case = random_case(seed, lengths, 6, 10)
        expected = torch.from_numpy(case.expected()).float().log1p() + 1
        assert torch.equal(compiled(*case.arguments), expected)


def test_fake_tensors_have_the_real_shape_dtype_and_device() -> None:
    meta = SAMPLES["int8"].on("meta")
    counts = simtier(*meta.arguments)
    assert (counts.shape, counts.dtype, counts.device.type) == ((3, 10), torch.float32, "meta")


def test_no_gradient() -> None:
    case = SAMPLES["plain"]
    assert not simtier(*case.arguments).requires_grad
    wanting = replace(case, table=case.table.clone().requires_grad_())
    with pytest.raises(RuntimeError, match="autograd"):
        simtier(*wanting.arguments).sum().backward()


PLAIN, INT8 = SAMPLES["plain"], SAMPLES["int8"]
SHARED = replace(PLAIN, bag_index=torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (replace(PLAIN, table=PLAIN.table.double()), r"table is torch.float64 \[40, 6\]; allowed: .*bfloat16"),
        (replace(PLAIN, table=PLAIN.table[0]), r"table is torch.float32 \[6\]"),
        (replace(PLAIN, table=PLAIN.table[:, :0]), r"table is torch.float32 \[40, 0\].* M >= 1"),
        (replace(PLAIN, scale=torch.ones(40)), r"table is torch.float32 and scale torch.float32 \[40\]"),
        (replace(INT8, scale=INT8.scale[1:]), r"scale is torch.float32 \[39\]; allowed: float32 \[40\]"),
        (replace(INT8, scale=INT8.scale.double()), "scale is torch.float64"),
        (replace(PLAIN, target_rows=PLAIN.target_rows.float()), r"target_rows is torch.float32 \[3\]"),
        (replace(PLAIN, history_rows=PLAIN.history_rows[None]), r"history_rows is torch.int64 \[1, 8\]"),
        (replace(PLAIN, offsets=PLAIN.offsets.short()), "offsets is torch.int16"),
        (replace(SHARED, bag_index=torch.tensor([True] * 3)), "bag_index is torch.bool"),
        (replace(PLAIN, offsets=PLAIN.offsets[:-1]), "3 targets but offsets of 2 bags; without bag_index"),
        (replace(PLAIN, offsets=PLAIN.offsets[:0]), "offsets is empty"),
        (replace(SHARED, bag_index=torch.tensor([0, 1])), "3 targets but 2 in bag_index"),
        (replace(PLAIN, num_tiers=0), "num_tiers is 0; allowed: 1 to 256"),
        (replace(PLAIN, num_tiers=257), "num_tiers is 257; allowed: 1 to 256"),
        (replace(PLAIN, offsets=PLAIN.offsets.to("meta")), "offsets is on meta but table on cpu"),
    ],
)
def test_wrong_arguments_are_named(case: Case, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simtier(*case.arguments)


def test_unknown_implementation() -> None:
    with pytest.raises(ValueError, match="simtier has no implementation 'fast'; allowed: auto, reference, vectorised"):
        simtier(*PLAIN.arguments, implementation="fast")
