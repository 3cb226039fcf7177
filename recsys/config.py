"""The model's settings."""

from typing import Annotated, Literal

from pydantic import Field

from recsys.validation import Strict

Width = Annotated[int, Field(ge=1)]


class AttentionConfig(Strict):
    """DIN target attention over ID embeddings."""

    hidden: list[Width] = Field([36], min_length=1, description="widths of the attention unit's hidden layers")


class MultimodalConfig(Strict):
    """How one frozen modality enters the model."""

    mode: Literal["none", "vector", "simscore", "simtier"] = Field(
        "simtier",
        description="none: ids only; vector: raw vectors concatenated; simscore: a similarity per behaviour as side "
        "information; simtier: the histogram of similarities",
    )
    num_tiers: int = Field(20, ge=1, le=256, description="tiers N over [-1, 1]")


class ModelConfig(Strict):
    embedding_dim: int = Field(16, ge=1, description="width of the ID tables that name none")
    attention: AttentionConfig = AttentionConfig()
    multimodal: MultimodalConfig = Field(MultimodalConfig(), description="for every modality not named below")
    modalities: dict[str, MultimodalConfig] = Field({}, description="settings of one modality, by name")
    interaction: Literal["concat", "dcn"] = Field("concat", description="dcn: DCNv2 cross layers on the concatenation")
    cross_layers: int = Field(2, ge=1, description="dcn: number of cross layers")
    cross_rank: int = Field(64, ge=1, description="dcn: rank of each cross layer")
    over_arch: list[Width] = Field([256, 128, 64], min_length=1, description="hidden widths of the final MLP")
    dropout: float = Field(0.0, ge=0, lt=1, description="in the final MLP")

    def modality(self, name: str) -> MultimodalConfig:
        return self.modalities.get(name, self.multimodal)
