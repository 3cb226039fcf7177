"""The training pipeline: TorchRec's, or plain steps for a model without ID tables."""

from collections.abc import Iterator

import torch
from torch import nn
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist

from recsys.batch import Batch
from recsys.models.ctr import Output


class PlainPipeline:
    """One batch after another. TorchRec's traces a model to find its tables, and fails where there are none."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self._model, self._optimizer, self._device = model, optimizer, device

    def attach(self, model: nn.Module) -> None:
        """Take up training with ``model``."""
        self._model = model

    def detach(self) -> nn.Module:
        return self._model

    def reset(self) -> None:
        """Forget batches that were fetched ahead; there are none."""

    def progress(self, batches: Iterator[Batch]) -> Output:
        """Train on the next batch. Raises StopIteration where there is none."""
        batch = next(batches).to(self._device, non_blocking=True)
        self._optimizer.zero_grad()
        loss, output = self._model(batch)
        loss.backward()
        self._optimizer.step()
        return output


def train_pipeline(
    model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, tables: bool
) -> TrainPipelineSparseDist | PlainPipeline:
    """The pipeline that makes the training steps of a model.

    Args:
        tables: whether it has ID tables, whose exchange TorchRec's pipeline hides.
    """
    return (TrainPipelineSparseDist if tables else PlainPipeline)(model, optimizer, device)
