"""Every setting of the configs, as dotted keys: the leaves of the pydantic models of ctr and scl."""

import typing
from collections.abc import Iterator

from pydantic import BaseModel

from embeddings.validation import variants_in
from train.ctr.config import Config
from train.scl.config import SCLConfig

SCL = "scl: "  # in front of a setting of contrastive learning


def all_settings() -> list[str]:
    """Every setting of a CTR run, whatever its architecture, and of contrastive learning."""
    return [*dict.fromkeys([*_leaves(Config, "", set()), *(SCL + key for key in _leaves(SCLConfig, "", set()))])]


def _leaves(model: type[BaseModel], prefix: str, seen: set[type]) -> Iterator[str]:
    """Keys below ``prefix``. A mapping to sections whose keys were met before is one leaf."""
    seen.add(model)
    for name, field in model.model_fields.items():
        section, key = _section(field.annotation), prefix + name
        if section is None:
            yield key
        elif typing.get_origin(field.annotation) is not dict:
            yield from _leaves(section, f"{key}.", seen)
            if (variants := variants_in(field.metadata)) is not None:
                for choice in variants.names:
                    yield from _leaves(variants.class_of(choice), f"{key}.", seen)
        elif section in seen:
            yield key
        else:
            yield from _leaves(section, f"{key}.NAME.", seen)


def _section(annotation: typing.Any) -> type[BaseModel] | None:
    """The model of a section, or of a mapping to sections; None for a plain value."""
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None
