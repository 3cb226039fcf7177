"""Architecture din: DIN over ID embeddings, frozen multimodal features beside them, one logit."""

from collections.abc import Mapping

import torch
from torch import nn

from embeddings.tables import TableConfig, module_name
from recsys.batch import Batch
from recsys.models.arch import Arch, Frozen, Sequences
from recsys.models.cost import Cost, one_by_one
from recsys.models.din_config import DINConfig
from recsys.models.interaction import InteractionArch, OverArch
from recsys.models.module_types import modules_of
from recsys.models.multimodal import ModalityFeatures, multimodal_features
from recsys.models.sparse import Pooled, pooled_embeddings
from recsys.models.target_attention import TargetAttention, spread_bags
from recsys.schema import Schema


class DINArch(Arch):
    """DIN's target attention over each history, pooled features and those of frozen vectors -> interaction -> MLP."""

    def __init__(self, schema: Schema, config: DINConfig, tables: list[TableConfig], frozen: Frozen) -> None:
        super().__init__(schema, config, tables, frozen)
        self.schema = schema
        self.widths = widths = {f: t.embedding_dim for t in tables for f in t.features}
        self.pooled_features = schema.pooled
        self.sequences = [f for f in schema.sequential if f.kind == "sequence"]
        self.ids = [f for f in schema.sequential if f.kind == "id"]
        # sequence name -> modalities whose cosines join its behaviours, and those whose cosines mix with the weights
        self.scored, self.mixed = (
            {f.name: self._modalities(part, f.name, config, frozen) for f in self.sequences}
            for part in ("simscore", "sa_ta")
        )
        self.multimodal = multimodal_features(frozen, config)
        attended = {f.name: widths[f.name] + len(self.scored[f.name]) for f in self.sequences}
        hidden, softmax = config.attention.hidden, config.attention.softmax
        self.attention = nn.ModuleDict(
            {
                module_name(name): TargetAttention(width, hidden, len(self.mixed[name]), softmax)
                for name, width in attended.items()
            }
        )
        width = (
            len(schema.dense)
            + sum(widths[f.name] for f in schema.pooled + self.ids)
            + sum(attended.values())
            + sum(module.width for module in self._modality_features())
        )
        crossed = config.cross_layers if config.interaction == "dcn" else 0
        self.interaction = InteractionArch(width, crossed, config.cross_rank)
        self.over = OverArch(self.interaction.width, config.over_arch, config.dropout)

    def _modality_features(self) -> list[ModalityFeatures]:
        return modules_of(ModalityFeatures, self.multimodal.values())

    def _modalities(self, part: str, sequence: str, config: DINConfig, frozen: Frozen) -> list[str]:
        """Modalities of that history whose vectors go through ``part``."""
        of_history = [name for name, modality in self.schema.modalities.items() if modality.history == sequence]
        return [name for name in of_history if name in frozen and part in config.parts(name)]

    def forward(self, pooled: Pooled | None, sequences: Sequences | None, batch: Batch) -> torch.Tensor:
        """Logits [B], float32."""
        # first what waits for other ranks' frozen rows: meanwhile the ID embeddings arrive, which are waited for below
        multimodal: list[torch.Tensor] = []
        cosines: dict[str, torch.Tensor] = {}
        for module in self._modality_features():
            of_modality, of_behaviours = module(batch.frozen[module.modality])
            multimodal += of_modality
            if of_behaviours is not None:
                cosines[module.modality] = of_behaviours
        features = [batch.dense]
        if pooled is not None:
            features += pooled_embeddings(pooled, batch.pooled, self.pooled_features)
        if sequences is not None:
            features += [sequences[f.name].values() for f in self.ids]
            features += [
                self._attend(f.name, f.target, sequences, cosines, batch.bag_index.get(f.name)) for f in self.sequences
            ]
        return self.over(self.interaction(torch.cat(features + multimodal, dim=1))).float()

    def _attend(
        self,
        name: str,
        target: str | None,
        sequences: Sequences,
        cosines: dict[str, torch.Tensor],
        bag_index: torch.Tensor | None,
    ) -> torch.Tensor:
        """One history pooled: [B, D], or [B, D + S] where S modalities' cosines join its behaviours."""
        assert target is not None, "the schema gives every sequence a target"
        behaviours, query = sequences[name].values(), sequences[target].values()
        lengths = sequences[name].lengths()
        if scores := [cosines[m] for m in self.scored[name]]:
            if bag_index is not None:  # the cosines make the bags each target's own
                (behaviours, lengths), bag_index = spread_bags(behaviours, lengths, bag_index), None
            behaviours = torch.cat([behaviours, *scores], dim=1)
            query = torch.cat([query, query.new_ones(query.shape[0], len(scores))], dim=1)
        mixed = [cosines[m] for m in self.mixed[name]]
        mixed_cosines = torch.cat(mixed, dim=1) if mixed else None
        return self.attention[module_name(name)](query, behaviours, lengths, mixed_cosines, bag_index)

    def cost(self, lengths: Mapping[str, float]) -> Cost:
        """The features live throughout; histories, modalities and the MLP come one by one."""
        pooled = 2 * sum(self.widths[f.name] for f in self.schema.pooled)
        attentions = modules_of(TargetAttention, self.attention.values())
        parts = [a.cost(lengths.get(f.name, 1.0)) for a, f in zip(attentions, self.sequences, strict=True)]
        for module in self._modality_features():
            parts.append(module.cost(lengths.get(self.schema.modalities[module.modality].history, 1.0)))
        parts += [self.interaction.cost(), self.over.cost()]
        return one_by_one(parts, features=pooled + 2 * self.interaction.width)
