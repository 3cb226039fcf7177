"""Exported encoders: what a run of contrastive learning leaves its machine as, in versions like an exported model's.

models/encoder/              one encoder, and what it is trained to later
    current.json             the version that encodes; replaced atomically
    000001/, 000002/ ...     versions, each whole and never changed again
        manifest.json        name, kind and width of the encoder, its run, SHA-256 of every file
        encoder/             as the run had it: settings, safetensors weights, tokenizer
        READY                SHA-256 of manifest.json; the last file that is written
"""

from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import Field, model_validator

from embeddings.errors import InputError
from recsys.exported.version_manifest import EXPORT_AGAIN, VersionManifest, check_content, read_version
from recsys.scl.encoders.about import ABOUT, Width
from recsys.scl.encoders.encoder_folder import WEIGHTS
from recsys.scl.encoders.item_encoder import ItemEncoder

ENCODER = "encoder"  # the folder in a version
Opened = TypeVar("Opened", bound=ItemEncoder)


class EncoderManifest(VersionManifest):
    """manifest.json. ``name`` is what stores and indexes of its vectors carry, and exported models of these."""

    run: str
    name: str = Field(min_length=1, max_length=400)
    kind: Literal["image", "text"]
    width: Width

    @model_validator(mode="after")
    def _is_an_encoder(self) -> "EncoderManifest":
        if missing := [name for name in (ABOUT, WEIGHTS) if f"{ENCODER}/{name}" not in self.files]:
            raise ValueError(f"no encoder is without {', '.join(missing)}")
        return self


def read_encoder_manifest(folder: Path) -> EncoderManifest:
    """The manifest of the version in ``folder``. Raises InputError where it is missing, damaged or no encoder's."""
    return read_version(folder, EncoderManifest)


def open_exported_encoder(folder: Path, device: torch.device, opened_as: type[Opened]) -> Opened:
    """The encoder of the version in ``folder``, all of its files checked. Raises InputError."""
    manifest = read_encoder_manifest(folder)
    check_content(folder, manifest)
    encoder = opened_as(folder / ENCODER, device, manifest.name)
    if (encoder.kind, encoder.width) != (manifest.kind, manifest.width):
        raise InputError(f"'{folder}' says that it reads {manifest.kind}s into width {manifest.width}; {EXPORT_AGAIN}")
    return encoder
