"""Deltas of a version, merged: the newest rows of each table and the newest dense part; as a folder that is mapped."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embeddings.files.atomic_file import atomic_folder
from embeddings.files.json_file import read_json, write_json
from embeddings.validation import validated
from recsys.exported.delta import DeltaManifest, TableRows, open_tables
from recsys.exported.manifest import DENSE, TABLES, Manifest
from recsys.exported.version_manifest import MANIFEST


@dataclass(frozen=True)
class MergedDeltas:
    """All deltas of a version up to one.

    manifest  of the last one; None where there is none
    digest    SHA-256 of that manifest, or of the version's
    tables    name -> rows that any delta has
    dense     the file of the architecture's parameters
    """

    manifest: DeltaManifest | None
    digest: str
    tables: Mapping[str, TableRows]
    dense: Path

    @property
    def number(self) -> int:
        """Deltas that are merged."""
        return self.manifest.number if self.manifest else 0

    def save(self, folder: Path) -> None:
        """Write ``folder``, for other processes of this host to map: one copy in memory for all. Raises OSError."""
        assert self.manifest is not None, "there is a delta"
        with atomic_folder(folder) as new:
            (new / TABLES).mkdir()
            for name, rows in self.tables.items():
                rows.write(new, name)
            shutil.copyfile(self.dense, new / DENSE)
            counts = {name: rows.rows.size for name, rows in self.tables.items()}
            manifest = self.manifest.model_copy(update={"tables": counts, "files": {}})
            write_json(new / MANIFEST, {"digest": self.digest, "manifest": manifest.model_dump(mode="json")})

    @classmethod
    def open(cls, folder: Path, version: Manifest) -> "MergedDeltas":
        """Map what ``save`` wrote. Raises InputError, OSError."""
        raw = read_json(folder / MANIFEST, "merged deltas")
        manifest = validated(DeltaManifest, raw["manifest"], f"'{folder / MANIFEST}'")
        return cls(manifest, raw["digest"], open_tables(folder, manifest.tables, version), folder / DENSE)
