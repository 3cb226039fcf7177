"""The model's settings."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys.validation import Strict

Width = Annotated[int, Field(ge=1)]


class AttentionConfig(Strict):
    """DIN target attention over ID embeddings."""

    hidden: list[Width] = Field([36], min_length=1, description="widths of the attention unit's hidden layers")
    softmax: bool = Field(False, description="over the behaviours of a history, as MUSE has it; DIN sums without")


class MAKEConfig(Strict):
    """MAKE: target attention over the frozen vectors, an MLP, a logit of its own."""

    run: str | None = Field(
        None,
        description="folder that python -m train make wrote, such as runs/shop-make; null: trained from scratch with "
        "the ID model",
    )
    epoch: int | None = Field(
        None, ge=0, description="of that run, 0 as it was initialised; null: the best on its validation split"
    )
    frozen: bool = Field(False, description="keep it as it comes; false: trained on with the ID model")
    attention_hidden: Width = Field(36, description="width of the attention unit")
    hidden: list[Width] = Field(
        [128, 64, 32], min_length=1, description="widths of the MLP's layers before the one that gives the logit"
    )
    withheld: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the training rows, drawn anew each time, for which the ID model gets zeros in place "
        "of all that MAKE hands over, so that each learns to do without the other (modality dropout)",
    )

    thinned: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability that a behaviour is left out of a training row's history, for all rows that share it; "
        "drawn anew each time, while MAKE is trained alone (python -m train make)",
    )

    @model_validator(mode="after")
    def _trained(self) -> "MAKEConfig":
        if self.epoch is not None and self.run is None:
            raise ValueError(f"epoch {self.epoch} of no run; set run to a folder of python -m train make, or drop it")
        if self.frozen and (self.run is None or self.epoch == 0):
            raise ValueError(
                "a frozen MAKE must have been trained; set run to a folder of python -m train make and epoch to null "
                "or at least 1, or set frozen to false"
            )
        return self


class MultimodalConfig(Strict):
    """How one frozen modality enters the model."""

    mode: Literal["none", "vector", "simscore", "simtier", "make", "simtier+make"] = Field(
        "simtier",
        description="none: ids only; vector: raw vectors concatenated; simscore: a similarity per behaviour as side "
        "information; simtier: the histogram of similarities; make: MAKE's vector, activations and logit; "
        "simtier+make: both",
    )
    num_tiers: int = Field(20, ge=1, le=256, description="tiers N over [-1, 1]")
    make: MAKEConfig = MAKEConfig()
    sa_ta: bool = Field(
        False,
        description="semantic-aware target attention: the weights alpha of the ID attention over the modality's "
        "history become gamma1 alpha + gamma2 R + gamma3 alpha R, R the cosines of the vectors; with any mode",
    )
    placement: Literal["auto", "replicated", "host", "row_wise"] = Field(
        "auto",
        description="where the vectors live. replicated: a copy for each rank (CPU: in huge pages); host: the store's "
        "memory map, shared by the ranks of a host (CUDA: read over the bus); row_wise: rows over all ranks, simtier "
        "and make only; auto: by the sizes",
    )

    @model_validator(mode="after")
    def _possible(self) -> "MultimodalConfig":
        if self.placement == "row_wise" and self.per_behaviour:
            what, needed = "sa_ta" if self.sa_ta else f"mode {self.mode}", "the cosine of each behaviour"
            if self.mode == "vector":
                what, needed = "mode vector", "the vectors themselves"
            raise ValueError(
                f"{what} needs {needed}, which placement row_wise never sends; "
                "allowed with it: simtier, make; or take placement host"
            )
        return self

    @property
    def takes_cosines(self) -> bool:
        """Whether the ID attention takes the cosines of the behaviours."""
        return self.sa_ta or self.mode == "simscore"

    @property
    def per_behaviour(self) -> bool:
        """Whether each behaviour's cosine or vector is wanted, and not only sums over behaviours."""
        return self.takes_cosines or self.mode == "vector"

    @property
    def parts(self) -> list[str]:
        """What it takes: of simtier+make both, and sa_ta where that is set."""
        return ([] if self.mode == "none" else self.mode.split("+")) + ["sa_ta"] * self.sa_ta


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
    alone: str | None = Field(
        None, description="modality whose MAKE is trained alone, without ids; python -m train make sets it"
    )

    def uses(self, name: str) -> bool:
        """Whether the model reads the vectors of that modality."""
        return bool(self.parts(name))

    def parts(self, name: str) -> list[str]:
        """What a modality's vectors go through."""
        return self.modality(name).parts if not self.alone else ["make"] if self.alone == name else []

    def takes_cosines(self, name: str) -> bool:
        """Whether the ID attention takes the cosines of a modality's behaviours."""
        return self.alone is None and self.modality(name).takes_cosines

    def per_behaviour(self, name: str) -> bool:
        """Whether each behaviour's cosine or vector is wanted, which rows over ranks never send."""
        return self.alone is None and self.modality(name).per_behaviour

    def modality(self, name: str) -> MultimodalConfig:
        return self.modalities.get(name, self.multimodal)
