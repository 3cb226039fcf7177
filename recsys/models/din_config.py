"""Settings of the architecture din: DIN over ID embeddings, frozen features beside them, concatenation or DCN V2."""

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from embeddings.validation import Strict
from recsys.models.config import ArchConfig, Width, Widths


class AttentionConfig(Strict):
    """DIN target attention over ID embeddings."""

    hidden: Widths = Field([36], description="widths of the attention unit's hidden layers")
    softmax: bool = Field(False, description="over the behaviours of a history, as MUSE has it; DIN sums without")


class DINConfig(ArchConfig):
    """ID embeddings, DIN's attention over each history, the modalities' features, an MLP."""

    arch: Literal["din"] = "din"
    attention: AttentionConfig = AttentionConfig()
    interaction: Literal["concat", "dcn"] = Field("concat", description="dcn: DCNv2 cross layers on the concatenation")
    cross_layers: int = Field(2, ge=1, le=64, description="dcn: number of cross layers")
    cross_rank: Width = Field(64, description="dcn: rank of each cross layer")
    over_arch: Widths = Field([256, 128, 64], description="hidden widths of the final MLP")
    dropout: float = Field(0.0, ge=0, lt=1, description="in the final MLP")

    def unread_settings(self, modalities: Collection[str] | None) -> list[str]:
        crossed = [] if self.interaction == "dcn" else ["cross_layers", "cross_rank"]
        return [*crossed, *super().unread_settings(modalities)]
