"""Exports a trained encoder: what a run of scl wrote becomes a version that the encode service, or encode, takes."""

import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from embeddings.errors import DISK_FULL, InputError
from recsys.exported.encoder import ENCODER, EncoderManifest
from recsys.exported.version_manifest import file_entries, write_manifest
from recsys.exported.versions import Versions
from recsys.scl.encoders.item_encoder import ItemEncoder
from train.run.versions import installed

NO_STEP = 0  # an encoder's folder does not say at which it was written


@dataclass(frozen=True)
class ExportedEncoder:
    """What was written, and where."""

    folder: Path
    manifest: EncoderManifest

    def __str__(self) -> str:
        size = sum(entry.bytes for entry in self.manifest.files.values())
        of = f"{self.manifest.kind}s into width {self.manifest.width}"
        return f"exported encoder '{self.manifest.name}', {of}, as {self.folder}: {size / 2**20:,.1f} MiB"


def export_encoder(run: str, encoder: Path, out: str, keep: int) -> ExportedEncoder:
    """Write the encoder in folder ``encoder`` of ``run`` as the next version in ``out``, and make it current.

    Its name is the one that ``python -m train encode`` puts into stores for the same path.

    Args:
        keep: versions that stay, the newest ones.

    Raises InputError where the encoder is damaged, and where ``out`` holds something else or the disk is full. What was
    in ``out`` stays then.
    """
    versions = Versions(out)
    versions.refuse_other()
    opened = ItemEncoder(encoder, torch.device("cpu"))
    try:
        with versions.writing(NO_STEP, keep) as (version, folder):
            shutil.copytree(encoder, folder / ENCODER)
            manifest = EncoderManifest.model_validate(
                {
                    "version": version,
                    "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                    "tierwise": installed("tierwise") or "",
                    "files": file_entries(folder),
                    "run": run,
                    "name": opened.name,
                    "kind": opened.kind,
                    "width": opened.width,
                }
            )
            write_manifest(folder, manifest)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"no space left on the disk of '{out}'; what was there before stays, the new version is not kept: free "
            f"some, or name another --out"
        ) from error
    return ExportedEncoder(versions.folder(version), manifest)
