"""Registry of CTR architectures: the name in ``model.arch`` -> where its config and its module are.

A new architecture is one file and one entry here. Its config is a subclass of ``recsys.models.config.ArchConfig`` with
``arch: Literal["NAME"] = "NAME"``, its module one of ``recsys.models.arch.Arch``. Both are named as "module:Class" and
imported when they are asked for; configs that are checked without torch live in files that import none.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embeddings.errors import InputError, nearest

if TYPE_CHECKING:
    from recsys.models.arch import Arch
    from recsys.models.config import ArchConfig


@dataclass(frozen=True)
class Architecture:
    """Where an architecture is: "module:Class" of its config and of its module."""

    config: str
    module: str


ARCHITECTURES = {
    "din": Architecture("recsys.models.din_config:DINConfig", "recsys.models.din:DINArch"),
    "make": Architecture("recsys.models.make_alone_config:MAKEAloneConfig", "recsys.models.make_alone:MAKEAloneArch"),
}


def config_class(arch: object) -> "type[ArchConfig]":
    """The config of the architecture ``arch``. Imports no torch for those above. Raises InputError."""
    return _imported(_known(arch).config)


def arch_class(arch: str) -> "type[Arch]":
    """The module of the architecture ``arch``. Raises InputError."""
    return _imported(_known(arch).module)


def _known(arch: object) -> Architecture:
    if not isinstance(arch, str) or arch not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise InputError(f"arch '{arch}' is none of {known}{nearest(str(arch), ARCHITECTURES)}")
    return ARCHITECTURES[arch]


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
