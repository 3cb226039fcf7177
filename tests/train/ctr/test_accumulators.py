"""Optimizer accumulators under other column shards than those that saved them."""

import pytest
import torch

from embeddings.errors import InputError
from train.ctr.accumulators import Accumulators, ReshardedAccumulators


def test_accumulators_of_other_column_shards():
    """Of widths 2, 4 and 2 into 4 and 4, into one of 8, and back."""
    saved = torch.tensor([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])

    def regrouped(saved: torch.Tensor, columns: list[int], shards: list[tuple[int, int]]) -> torch.Tensor:
        accumulators = [Accumulators("t", 2, (0, a), (2, b - a), torch.full((2,), float("nan"))) for a, b in shards]
        reading = ReshardedAccumulators(accumulators, {"t": columns}, {"t": [0, 8]})
        assert [(p.key, p.size, p.offsets) for p in reading.shards] == [("optimizer.tables.t", saved.shape, (0, 0))]
        reading.shards[0].tensor.copy_(saved)
        reading.fill()
        return torch.stack([a.tensor for a in accumulators], dim=1)

    halves = regrouped(saved, [0, 2, 6, 8], [(0, 4), (4, 8)])
    assert halves.tolist() == [[1.5, 3.0], [15.0, 30.0]]
    one = regrouped(halves, [0, 4, 8], [(0, 8)])
    assert one.tolist() == [[2.25], [22.5]]
    assert regrouped(one, [0, 8], [(0, 2), (2, 8)]).tolist() == [[2.25, 2.25], [22.5, 22.5]]
    assert regrouped(saved, [0, 2, 6, 8], [(0, 2), (2, 6), (6, 8)]).equal(saved)


@pytest.mark.parametrize(
    "columns", [[], [0], [8], [0, 4], [0, 16], [1, 8], [0, 8, 8], [0, 6, 4, 8], [0, *range(8)], list(range(10**6))]
)
def test_columns_of_another_table_are_refused_before_they_take_memory(columns):
    held = [Accumulators("t", 1 << 40, (0, 0), (1 << 40, 8), torch.empty(1))]
    with pytest.raises(InputError, match="the checkpoint is of another model: table 't' has columns from ") as error:
        ReshardedAccumulators(held, {"t": columns}, {"t": [0, 8]})
    assert len(str(error.value)) < 500
