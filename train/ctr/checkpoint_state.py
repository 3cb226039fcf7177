"""What a checkpoint holds of a CTR model and its optimizers, under keys that do not depend on ranks or on the plan.

model.NAME                    parameters and buffers; a table [N, D] in the shards of the plan
optimizer.tables.NAME         a table's accumulators: Adagrad [N, D]; row-wise Adagrad [N, C], a column for each
                              of the C column shards, which keep an accumulator of their own
optimizer.dense.NAME.STATE    AdamW's
schedule                      steps of the warm-up, the same for all parts of the optimizer
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from train.checkpoint.shards import TensorShard, local_shards, whole_tensor
from train.ctr.accumulators import ReshardedAccumulators, accumulator_shards, accumulators, column_bounds
from train.ctr.optimizers import WARMUP, fill_optimizer_state
from train.ctr.trainable import Trainable


class CTRCheckpointState:
    """A trainable as the checkpointer takes it (``Checkpointable``)."""

    def __init__(self, trainable: Trainable) -> None:
        self._trainable = trainable

    def shards(self) -> list[TensorShard]:
        """Weights, dense optimizer, warm-up and accumulators that this rank holds."""
        optimizer = self._trainable.optimizer.state_dict()
        shards = _model_shards(self._trainable.model.state_dict()) + _dense_optimizer_shards(optimizer)
        shards.append(whole_tensor("schedule", _warmup_counters(optimizer)[0]))
        held = accumulators(self._trainable, optimizer)
        return shards + accumulator_shards(held, column_bounds(self._trainable))

    def layout(self) -> dict[str, Any]:
        """``columns``: where the column shards of each table begin."""
        return {"columns": column_bounds(self._trainable)}

    def restore(self, read: Callable[[list[TensorShard]], None], progress: dict[str, Any] | None) -> None:
        """Fill weights and, with ``progress``, optimizers. Raises InputError where a table is not in the checkpoint."""
        # Asked for once, before anything is read: each time, TorchRec writes cached rows of host memory back to their
        # table. Loading empties the caches.
        model, optimizers = self._trainable.model, self._trainable.optimizer
        weights = model.state_dict()
        assert isinstance(weights, OrderedDict)
        shards = _model_shards(weights)
        if progress is None:
            read(shards)
            model.load_state_dict(weights)
            return
        fill_optimizer_state(optimizers)
        optimizer = optimizers.state_dict()
        held = accumulators(self._trainable, optimizer)
        bounds = column_bounds(self._trainable)
        by_row = ReshardedAccumulators([a for a in held if a.tensor.dim() == 1], progress["columns"], bounds)
        by_entry = [a for a in held if a.tensor.dim() == 2]
        shards += accumulator_shards(by_entry, bounds) + by_row.shards
        shards += _dense_optimizer_shards(optimizer)
        counters = _warmup_counters(optimizer)
        shards.append(whole_tensor("schedule", counters[0]))
        read(shards)
        by_row.fill()
        for counter in counters[1:]:
            counter.copy_(counters[0])
        model.load_state_dict(weights)
        optimizers.load_state_dict(optimizer)


def _model_shards(weights: dict[str, Any]) -> list[TensorShard]:
    """Parameters and buffers on this rank, from the model's state."""
    return [p for name, value in weights.items() for p in local_shards(f"model.{name}", value)]


def _dense_optimizer_shards(optimizer: dict[str, Any]) -> list[TensorShard]:
    """The state of the dense optimizer, from the state of all parts."""
    return [
        whole_tensor(f"optimizer.{name}.{key}", value)
        for name, state in optimizer["state"].items()
        if name.startswith("dense.") and not name.endswith(WARMUP)
        for key, value in state.items()
    ]


def _warmup_counters(optimizer: dict[str, Any]) -> list[torch.Tensor]:
    """The counters of every part's warm-up, all the same: [2] int64 each."""
    return [state["warmup"] for name, state in optimizer["state"].items() if name.endswith(WARMUP)]
