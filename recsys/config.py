"""The model's settings."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

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
    placement: Literal["auto", "replicated", "host", "row_wise"] = Field(
        "auto",
        description="where the vectors live. replicated: a copy for each rank (CPU: in huge pages); host: the store's "
        "memory map, shared by the ranks of a host (CUDA: read over the bus); row_wise: rows over all ranks, simtier "
        "only; auto: by the sizes",
    )

    @model_validator(mode="after")
    def _possible(self) -> "MultimodalConfig":
        if self.placement == "row_wise" and self.mode in ("vector", "simscore"):
            raise ValueError(
                f"mode {self.mode} needs the vectors themselves, which placement row_wise never sends; "
                "allowed with it: simtier; or take placement host"
            )
        return self


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
