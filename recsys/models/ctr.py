"""The CTR model: ID tables, an architecture on top of them, the loss."""

from dataclasses import replace

import torch
from torch import nn
from torchrec.sparse.jagged_tensor import JaggedTensor

from embeddings.tables import TableConfig
from recsys.batch import Batch, FrozenRows
from recsys.models.arch import Arch, Frozen
from recsys.models.config import ArchConfig
from recsys.models.multimodal import FrozenExchanges
from recsys.models.registry import arch_class
from recsys.models.sparse import Pooled, SparseArch
from recsys.schema import Schema

Output = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class CTRModel(nn.Module):
    """Batch in, (loss, (loss, logits, labels)) out, as TorchRec's pipeline wants it; the inner three are detached.

        loss    []   float32 mean binary cross entropy of the batch
        logits  [B]  float32
        labels  [B]  float32

    Args:
        frozen: modality -> table. A modality of mode none need not be there.
        autocast: dtype of the dense part on CUDA; None computes in float32.
    """

    def __init__(
        self,
        schema: Schema,
        config: ArchConfig,
        tables: list[TableConfig],
        frozen: Frozen,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.sparse = SparseArch(tables)
        arch = arch_class(config.arch)(schema, config, tables, frozen)
        assert isinstance(arch, Arch)
        self.exchanges = FrozenExchanges(frozen, arch.before_exchange)
        self.dense = _Head(arch, autocast)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Output]:
        # TorchRec's pipeline traces this: what is changed here must not be what the sparse part is given
        frozen = self.exchanges(batch.frozen)
        pooled, sequences = self.sparse(batch.pooled, batch.sequence)
        return self.dense(pooled, sequences, batch, frozen)


class _Head(nn.Module):
    """The architecture and the loss."""

    def __init__(self, arch: Arch, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.arch = arch
        self.autocast = autocast

    def forward(
        self,
        pooled: Pooled | None,
        sequences: dict[str, JaggedTensor] | None,
        batch: Batch,
        frozen: dict[str, FrozenRows],
    ) -> tuple[torch.Tensor, Output]:
        batch = replace(batch, frozen=frozen)
        with torch.autocast(batch.labels.device.type, self.autocast, enabled=self.autocast is not None):
            logits = self.arch(pooled, sequences, batch)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, batch.labels)
        return loss, (loss.detach(), logits.detach(), batch.labels)
