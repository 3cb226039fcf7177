"""A target's value is the same, bit for bit, on any number of threads and beside any other targets."""

from dataclasses import replace

import pytest
import torch

from embeddings.kernels.registry import IMPLEMENTATIONS
from tests.embeddings.kernels.bags import TABLE_DTYPES
from tests.embeddings.kernels.make_attention.cases import Case, random_case
from tests.embeddings.kernels.running import require, threads

# Bags around what is summed together (1,024) and far beyond it; work that no number of threads divides evenly
LENGTHS = [3, 0, 5_000, 1, 1_024, 1_025, 0, 45, 2_500, 700]
# width and hidden units: lanes, and where there are such, tiles
SIZES = ((16, 7), (64, 36))


def value(case: Case, number: int) -> torch.Tensor:
    with threads(number):
        return IMPLEMENTATIONS["make_attention"]["native"](*case.arguments)


def alone(case: Case, target: int) -> Case:
    """That target with its bag, which nobody shares."""
    begin, u = case.offsets.tolist(), case.bag_of()[target]
    rows = case.history_rows[begin[u] : begin[u + 1]]
    offsets, row = torch.tensor([0, len(rows)]), case.target_rows[target : target + 1]
    return replace(case, target_rows=row, history_rows=rows, offsets=offsets, bag_index=None)


@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
@pytest.mark.parametrize("shared_by", [None, 13])
def test_neither_threads_nor_other_targets_change_a_value(dtype: torch.dtype, shared_by: int | None) -> None:
    require("native")
    for width, hiddens in SIZES:
        case = random_case(1, LENGTHS, width, hiddens, dtype=dtype, shared_by=shared_by, rows=300)
        once = value(case, 1)
        for number in (1, 2, 3, 4, 7):
            assert torch.equal(value(case, number), once), (width, number)
        for target in range(len(case.target_rows)):
            for number in (1, 3):
                assert torch.equal(value(alone(case, target), number)[0], once[target]), (width, target, number)


@pytest.mark.parametrize("number", [2, 3])
def test_gradients_are_the_same_each_time(number: int) -> None:
    """Each thread sums its part, and these sums are added in order: they depend on the number of threads alone."""
    require("native")
    case = random_case(2, LENGTHS, 16, 7, rows=300)
    backward, upstream = IMPLEMENTATIONS["make_attention_backward"]["native"], case.upstream()
    with threads(number):
        once = backward(upstream, *case.arguments)
        for _ in range(20):
            assert all(torch.equal(a, b) for a, b in zip(backward(upstream, *case.arguments), once, strict=True))
