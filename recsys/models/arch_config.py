"""Choice of an architecture's config class: plain data -> the settings of the architecture that its key arch names."""

from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from embeddings.validation import Variants, say_renamed
from recsys.models.config import DEFAULT_ARCH, ArchConfig
from recsys.models.registry import ARCHITECTURES, config_class


def arch_config(raw: dict[str, Any]) -> ArchConfig:
    """The settings ``raw`` of an architecture, as the class that its key ``arch`` names; without one as DIN's.

    Raises pydantic's ValidationError for an unknown architecture, key or value.
    """
    return _READER.validate_python(raw)


def make_alone(model: ArchConfig, modality: str) -> ArchConfig:
    """The config that trains the MAKE of ``modality`` by itself, with what ``model`` says of it."""
    shared = {key: getattr(model, key) for key in ArchConfig.model_fields if key != "arch"}
    return arch_config({"arch": "make", "modality": modality, **shared})


def _without_alone(raw: Any) -> Any:
    """``raw`` where it is of the time before ``arch``: then ``alone: NAME`` was the key of what arch make is now."""
    if not isinstance(raw, dict) or "alone" not in raw or "arch" in raw:
        return raw
    name, raw = raw["alone"], {key: value for key, value in raw.items() if key != "alone"}
    if name is None:
        return raw
    say_renamed("key 'model.alone'", f"'model.arch: make' with 'model.modality: {name}'")
    others = config_class("din").model_fields.keys() - config_class("make").model_fields.keys()
    return {key: value for key, value in raw.items() if key not in others} | {"arch": "make", "modality": name}


# A field of this type is read as the config of an architecture in the registry.
RegisteredArch = Annotated[
    ArchConfig, Variants("arch", DEFAULT_ARCH, ARCHITECTURES, config_class), BeforeValidator(_without_alone)
]
_READER: TypeAdapter[ArchConfig] = TypeAdapter(RegisteredArch)
