"""Settings of the architecture make: MAKE of one modality trained by itself, on frozen vectors alone."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field

from recsys.models.config import ArchConfig
from recsys.models.titles import MAKE_ALONE


class MAKEAloneConfig(ArchConfig):
    """MAKE of one modality by itself, without ID tables; python -m train make writes this section."""

    has_tables: ClassVar[bool] = False

    arch: Literal["make"] = "make"
    modality: str = Field(description="modality whose MAKE is trained; its settings are multimodal.make or its own")

    @property
    def named_modalities(self) -> dict[str, list[str]]:
        return {**super().named_modalities, "model.modality": [self.modality]}

    @property
    def pretrained_modality(self) -> str:
        return self.modality

    def parts(self, name: str) -> list[str]:
        return ["make"] if name == self.modality else []

    def run_mode(self, modalities: Iterable[str]) -> str:
        return MAKE_ALONE

    def takes_cosines(self, name: str) -> bool:
        return False

    def per_behaviour(self, name: str) -> bool:
        return False

    def trains_make(self, name: str) -> bool:
        return True
