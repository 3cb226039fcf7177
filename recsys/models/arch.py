"""The interface of an architecture: everything of a CTR model after its ID tables."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.table import FrozenTable
from embeddings.tables import TableConfig
from recsys.batch import Batch, FrozenRows
from recsys.models.config import ArchConfig
from recsys.models.cost import Cost
from recsys.models.sparse import Pooled
from recsys.schema import Schema

Frozen = Mapping[str, FrozenTable | RowWiseTable]


class Sequence(Protocol):
    """Embeddings bag after bag, such as TorchRec's JaggedTensor."""

    def values(self) -> torch.Tensor:
        """[T, D]"""

    def lengths(self) -> torch.Tensor:
        """[U] int, of each bag; they sum to T."""


Sequences = Mapping[str, Sequence]


class Arch(nn.Module):
    """Base of the architectures in ``recsys/models/registry.py``. TorchRec's pipeline takes it as one leaf.

    Args:
        schema: features, sequences and modalities of the data.
        config: the architecture's own settings.
        tables: ID tables; empty where ``config.has_tables`` is false.
        frozen: modality -> table of vectors, of the modalities that ``config.uses``.
    """

    def __init__(self, schema: Schema, config: ArchConfig, tables: list[TableConfig], frozen: Frozen) -> None:
        super().__init__()

    def before_exchange(self, frozen: dict[str, FrozenRows]) -> dict[str, FrozenRows]:
        """A batch's rows by modality as the model is to see them, before any rank asks another for vectors."""
        return frozen

    def forward(self, pooled: Pooled | None, sequences: Sequences | None, batch: Batch) -> torch.Tensor:
        """Logits [B], float32.

        pooled     sums of embeddings by feature, of ``schema.pooled``; ``pooled_embeddings`` reads it; None without any
        sequences  embeddings by feature, of ``schema.sequential``; None without any; in bags that impressions share
                   where ``batch.bag_index`` says so
        batch      the rest, with ``frozen`` as ``before_exchange`` left it
        """
        raise NotImplementedError

    def cost(self, lengths: Mapping[str, float]) -> Cost:
        """FLOPs and activations of one example.

        Args:
            lengths: feature -> mean ids a row; 1 where absent.
        """
        raise NotImplementedError
