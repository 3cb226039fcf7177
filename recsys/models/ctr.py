"""The CTR model: ID embeddings, target attention, frozen multimodal features, one logit."""

from dataclasses import replace

import torch
from torch import nn
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedTensor

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.table import FrozenTable
from embeddings.tables import TableConfig
from recsys.batch import Batch
from recsys.models.config import ModelConfig
from recsys.models.interaction import InteractionArch, OverArch
from recsys.models.make import MAKEArch
from recsys.models.multimodal import FrozenExchanges, multimodal_features
from recsys.models.sparse import SparseArch, pooled_embeddings
from recsys.models.target_attention import TargetAttention
from recsys.schema import Schema

Output = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Frozen = dict[str, FrozenTable | RowWiseTable]


class DenseArch(nn.Module):
    """Everything after the ID tables. TorchRec's pipeline takes it as one leaf."""

    def __init__(self, schema: Schema, config: ModelConfig, tables: list[TableConfig], frozen: Frozen) -> None:
        super().__init__()
        self.schema = schema
        widths = {f: t.embedding_dim for t in tables for f in t.features}
        self.sequences = [f for f in schema.sequential if f.kind == "sequence"]
        self.ids = [f for f in schema.sequential if f.kind == "id"]
        # sequence name -> modalities whose similarity joins its behaviours, and those whose mixes with the weights
        self.scored, self.mixed = (
            {f.name: self._taking(part, f.name, config, frozen) for f in self.sequences}
            for part in ("simscore", "sa_ta")
        )
        features = {m: multimodal_features(table, config.modality(m)) for m, table in frozen.items()}
        self.multimodal = nn.ModuleDict({m: module for m, module in features.items() if module is not None})
        attended = {f.name: widths[f.name] + len(self.scored[f.name]) for f in self.sequences}
        hidden, softmax = config.attention.hidden, config.attention.softmax
        self.attention = nn.ModuleDict(
            {name: TargetAttention(width, hidden, len(self.mixed[name]), softmax) for name, width in attended.items()}
        )
        width = (
            len(schema.dense)
            + sum(widths[f.name] for f in schema.pooled + self.ids)
            + sum(attended.values())
            + sum(module.width for module in self.multimodal.values())
        )
        self.interaction = InteractionArch(width, config)
        self.over = OverArch(self.interaction.width, config)

    def _taking(self, part: str, sequence: str, config: ModelConfig, frozen: Frozen) -> list[str]:
        """Modalities of that history that take part in ``part``."""
        own = [name for name, modality in self.schema.modalities.items() if modality.history == sequence]
        return [name for name in own if name in frozen and part in config.parts(name)]

    def forward(
        self, pooled: KeyedTensor | None, sequences: dict[str, JaggedTensor] | None, batch: Batch
    ) -> torch.Tensor:
        """Logits [B], float32."""
        # first what waits for other ranks' frozen rows: meanwhile the ID embeddings arrive, which are waited for below
        found = {name: module(batch.frozen[name]) for name, module in self.multimodal.items()}
        multimodal = [feature for features_of, _ in found.values() for feature in features_of]
        cosines = {name: of_pairs for name, (_, of_pairs) in found.items() if of_pairs is not None}
        features = [batch.dense]
        if pooled is not None and batch.pooled is not None:
            features += pooled_embeddings(pooled, batch.pooled, self.schema.pooled)
        if sequences is not None:
            features += [sequences[f.name].values() for f in self.ids]
            features += [self._attend(f.name, f.target, sequences, cosines) for f in self.sequences]
        return self.over(self.interaction(features + multimodal)).float()

    def _attend(
        self, name: str, target: str | None, sequences: dict[str, JaggedTensor], cosines: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        assert target is not None, "the schema gives every sequence a target"
        behaviours, query = sequences[name].values(), sequences[target].values()
        if scores := [cosines[m] for m in self.scored[name]]:
            behaviours = torch.cat([behaviours, *scores], dim=1)
            query = torch.cat([query, query.new_ones(query.shape[0], len(scores))], dim=1)
        mixed = [cosines[m] for m in self.mixed[name]]
        beside = torch.cat(mixed, dim=1) if mixed else None
        return self.attention[name](query, behaviours, sequences[name].lengths(), beside)


def dense_arch(schema: Schema, config: ModelConfig, tables: list[TableConfig], frozen: Frozen) -> DenseArch | MAKEArch:
    """Everything after the ID tables, of which a MAKE that is trained alone has none."""
    if config.alone is None:
        return DenseArch(schema, config, tables, frozen)
    return MAKEArch(config.alone, frozen[config.alone], config.modality(config.alone).make)


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
        config: ModelConfig,
        tables: list[TableConfig],
        frozen: Frozen,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.exchanges = FrozenExchanges(frozen)
        self.sparse = SparseArch(tables)
        self.dense = _Head(dense_arch(schema, config, tables, frozen), autocast)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Output]:
        if isinstance(self.dense.arch, MAKEArch):
            batch = replace(batch, frozen=self.dense.arch.thin(batch.frozen))
        self.exchanges(batch.frozen)
        pooled, sequences = self.sparse(batch.pooled, batch.sequence)
        return self.dense(pooled, sequences, batch)


class _Head(nn.Module):
    """DenseArch and the loss."""

    def __init__(self, arch: DenseArch | MAKEArch, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.arch = arch
        self.autocast = autocast

    def forward(
        self, pooled: KeyedTensor | None, sequences: dict[str, JaggedTensor] | None, batch: Batch
    ) -> tuple[torch.Tensor, Output]:
        with torch.autocast(batch.labels.device.type, self.autocast, enabled=self.autocast is not None):
            logits = self.arch(pooled, sequences, batch)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, batch.labels)
        return loss, (loss.detach(), logits.detach(), batch.labels)
