"""A toy architecture, whole: config, module and cost. The features of one example side by side, and an MLP."""

from typing import Literal

import torch
from pydantic import Field

from recsys.models.arch import Arch
from recsys.models.config import ArchConfig
from recsys.models.cost import Cost, one_by_one
from recsys.models.interaction import OverArch
from recsys.models.multimodal import multimodal_features
from recsys.models.sparse import pooled_embeddings


class ToyConfig(ArchConfig):
    arch: Literal["toy"] = "toy"
    units: int = Field(8, ge=1, description="width of the hidden layer")


class ToyArch(Arch):
    def __init__(self, schema, config, tables, frozen) -> None:
        super().__init__(schema, config, tables, frozen)
        self.schema, self.ids = schema, [f.name for f in schema.sequential if f.kind == "id"]
        self.multimodal = multimodal_features(frozen, config)
        dims = {name: t.embedding_dim for t in tables for name in t.features}
        self.width = len(schema.dense) + sum(dims[name] for name in [f.name for f in schema.pooled] + self.ids)
        self.width += sum(module.width for module in self.multimodal.values())
        self.over = OverArch(self.width, [config.units])

    def forward(self, pooled, sequences, batch) -> torch.Tensor:
        features = [batch.dense, *pooled_embeddings(pooled, batch.pooled, self.schema.pooled)]
        features += [sequences[name].values() for name in self.ids]
        for module in self.multimodal.values():
            features += module(batch.frozen[module.modality])[0]
        return self.over(torch.cat(features, dim=1)).float()

    def cost(self, lengths) -> Cost:
        parts = [module.cost(lengths["history"]) for module in self.multimodal.values()]
        return one_by_one([self.over.cost(), *parts], features=self.width)
