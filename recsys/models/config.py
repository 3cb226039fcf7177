"""Settings that all architectures share: ID width, how frozen vectors enter, MAKE; and the base of each one's own."""

from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from embeddings.planner.table_constraint import MOST_COLUMNS
from embeddings.validation import LocalPath, Strict

DEFAULT_ARCH = "din"  # of a config that names none
MOST_WIDTH = 2**16  # of a layer
Width = Annotated[int, Field(ge=1, le=MOST_WIDTH)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=64)]


class MAKEConfig(Strict):
    """MAKE: target attention over the frozen vectors, an MLP, a logit of its own."""

    RENAMED = {"withheld": "modality_dropout", "thinned": "behaviour_dropout"}

    run: LocalPath | None = Field(
        None,
        description="folder that python -m train make wrote, such as runs/shop-make; null: trained from scratch with "
        "the ID model",
    )
    epoch: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="of that run, 0 as it was initialised; null: the best on its validation split",
    )
    frozen: bool = Field(False, description="keep it as it comes; false: trained on with the ID model")
    attention_hidden: Width = Field(36, description="width of the attention unit")
    hidden: Widths = Field([128, 64, 32], description="widths of the MLP's layers before the one that gives the logit")
    modality_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the training rows, drawn anew each time, for which the ID model gets zeros in place "
        "of all that MAKE hands over, so that each learns to do without the other (ModDrop, arXiv 1501.00102)",
    )
    behaviour_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability that a behaviour is left out of a training row's history, for all rows that share it; "
        "drawn anew each time, where MAKE is trained alone (arch make)",
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
        """Whether the model takes each behaviour's cosine or vector, and not only sums over behaviours."""
        return self.takes_cosines or self.mode == "vector"

    def unread_settings(self, parts: Collection[str]) -> list[str]:
        """Keys that vectors which go through ``parts`` alone never read."""
        unread = [key for key, part in (("num_tiers", "simtier"), ("make", "make")) if part not in parts]
        return unread if parts else [*unread, "placement"]

    @property
    def parts(self) -> list[str]:
        """The mode's parts, such as simtier and make, and sa_ta where that is set; empty: no vector is read."""
        return ([] if self.mode == "none" else self.mode.split("+")) + ["sa_ta"] * self.sa_ta


class ArchConfig(Strict):
    """Settings that every architecture has.

    ``recsys.models.arch_config`` reads plain data as the subclass that its ``arch`` names.
    """

    has_tables: ClassVar[bool] = True  # whether it looks up IDs, in the schema's tables

    arch: str = Field(
        DEFAULT_ARCH, description="architecture; the sections after this one's say what further keys each has"
    )
    embedding_dim: int = Field(16, ge=1, le=MOST_COLUMNS, description="width of the ID tables that name none")
    multimodal: MultimodalConfig = Field(MultimodalConfig(), description="for every modality not named below")
    modalities: dict[str, MultimodalConfig] = Field({}, description="settings of one modality, by name")

    def modality_config(self, name: str) -> MultimodalConfig:
        """The settings of one modality."""
        return self.modalities.get(name, self.multimodal)

    @property
    def named_modalities(self) -> dict[str, list[str]]:
        """Dotted key -> modalities that it names, which the schema must have."""
        return {"model.modalities": list(self.modalities)}

    @property
    def pretrained_modality(self) -> str | None:
        """The modality whose MAKE this architecture trains for other models to begin with, if any."""
        return None

    def parts(self, name: str) -> list[str]:
        """What a modality's vectors go through, such as simtier, make, sa_ta; empty where none are read."""
        return self.modality_config(name).parts

    def mode(self, name: str) -> str:
        """A modality's parts joined by "+", such as simtier+make+sa_ta; none where its vectors are not read."""
        return "+".join(self.parts(name)) or "none"

    def run_mode(self, modalities: Iterable[str]) -> str:
        """The mode in run.json of a run on data with these modalities: their modes joined by "+", or none."""
        return "+".join(sorted({self.mode(name) for name in modalities} - {"none"})) or "none"

    def unread_settings(self, modalities: Collection[str] | None) -> list[str]:
        """Dotted keys below ``model`` that the model never reads: of a leaf, or of a section with all its leaves.

        Args:
            modalities: of the data; None where they are unknown, so that a modality's settings count as read.
        """
        return list(self._unread_of_modalities(modalities)) if modalities is not None else []

    def _unread_of_modalities(self, modalities: Collection[str]) -> Iterator[str]:
        sections = {f"modalities.{name}": [name] for name in self.modalities if name in modalities}
        sections["multimodal"] = [name for name in modalities if name not in self.modalities]
        if not sections["multimodal"]:
            yield "multimodal"
        for section, names in sections.items():
            parts = {part for name in names for part in self.parts(name)}
            yield from (f"{section}.{key}" for key in self.multimodal.unread_settings(parts) if names)

    def uses(self, name: str) -> bool:
        """Whether the model reads the vectors of that modality."""
        return bool(self.parts(name))

    def placement(self, name: str) -> str:
        """Where the vectors of that modality are to live: auto, replicated, host or row_wise."""
        return self.modality_config(name).placement

    def takes_cosines(self, name: str) -> bool:
        """Whether the ID attention takes the cosines of a modality's behaviours."""
        return self.modality_config(name).takes_cosines

    def per_behaviour(self, name: str) -> bool:
        """Whether each behaviour's cosine or vector is wanted, which rows over ranks never send."""
        return self.modality_config(name).per_behaviour

    def trains_make(self, name: str) -> bool:
        """Whether a modality's MAKE, where it has one, is trained, which reads the vectors again in the backward."""
        return not self.modality_config(name).make.frozen

    def reads(self, name: str) -> int:
        """How often a training step reads that modality's vectors: once for each use, for a trained MAKE twice.

        SimTier's pass gives the cosines of simscore and sa_ta too.
        """
        parts = self.parts(name)
        return ("vector" in parts) + ("simtier" in parts or self.takes_cosines(name)) + self._passes_of_make(name)

    def results(self, name: str, width: int) -> int:
        """float32 numbers that one example gets back, and gradients that it sends, where rows lie on all ranks.

        Those are SimTier's counts, v_MAKE and, where MAKE is trained, its gradient.

        Args:
            width: of the modality's vectors.
        """
        tiers = self.modality_config(name).num_tiers if "simtier" in self.parts(name) else 0
        return tiers + self._passes_of_make(name) * width

    def _passes_of_make(self, name: str) -> int:
        return ("make" in self.parts(name)) * (2 if self.trains_make(name) else 1)
