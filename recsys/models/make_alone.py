"""Architecture make: MAKE of one modality trained by itself, for a CTR model to begin with."""

from collections.abc import Mapping

import torch

from embeddings.tables import TableConfig
from recsys.batch import Batch, FrozenRows
from recsys.models.arch import Arch, Frozen, Sequences
from recsys.models.cost import Cost
from recsys.models.make import MAKE, drop_behaviours
from recsys.models.make_alone_config import MAKEAloneConfig
from recsys.models.sparse import Pooled
from recsys.schema import Schema


class MAKEAloneArch(Arch):
    """MAKE of one modality, whose own logit is the prediction. It has no ID tables.

    Over several epochs it would come to know its training rows, and the ID model, which sees the same rows, would trust
    it more than new rows warrant. So it sees another part of each history every time
    (``MAKEConfig.behaviour_dropout``), as shortened sequences make other views of a user in Xie et al., CL4SRec
    (arXiv 2010.14395).
    """

    def __init__(self, schema: Schema, config: MAKEAloneConfig, tables: list[TableConfig], frozen: Frozen) -> None:
        super().__init__(schema, config, tables, frozen)
        make = config.modality_config(config.modality).make
        self.modality, self.history = config.modality, schema.modalities[config.modality].history
        self.make = MAKE(frozen[config.modality], make)
        self.behaviour_dropout = make.behaviour_dropout

    def before_exchange(self, frozen: dict[str, FrozenRows]) -> dict[str, FrozenRows]:
        """In training with behaviours dropped."""
        if not (self.training and self.behaviour_dropout):
            return frozen
        return frozen | {self.modality: drop_behaviours(frozen[self.modality], self.behaviour_dropout)}

    def forward(self, pooled: Pooled | None, sequences: Sequences | None, batch: Batch) -> torch.Tensor:
        """Logits [B], float32."""
        return self.make(batch.frozen[self.modality])[2].squeeze(1).float()

    def cost(self, lengths: Mapping[str, float]) -> Cost:
        return self.make.cost(lengths.get(self.history, 1.0))
