"""Deltas of one exported version: a chain of numbered folders, each of which follows the one before."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from embeddings.errors import InputError, first_line
from embeddings.files.atomic_file import atomic_folder, sync_path
from embeddings.files.file_entry import sha256
from embeddings.files.json_file import read_json, write_json
from embeddings.validation import Strict, validated
from recsys.exported.delta import MOST_DELTAS, DeltaManifest, check_delta, open_tables, read_delta
from recsys.exported.manifest import DENSE, TABLES, Manifest
from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.version_manifest import MANIFEST, file_entries, write_manifest
from recsys.exported.versions import Versions
from recsys.stream.position import StreamPosition

LATEST = "latest.json"


class _Latest(Strict):
    """latest.json: how many deltas there are; when the newest was published, in seconds since 1970."""

    number: int = Field(ge=1, lt=MOST_DELTAS)
    published: float


class DeltaChain:
    """The deltas of ``version`` in the folder of an exported model."""

    def __init__(self, versions: Versions, version: Manifest) -> None:
        self.version, self._base = version, versions.folder(version.version)
        self.root = versions.deltas(version.version)

    def latest(self) -> int:
        """The number of the newest delta; 0 where there is none. Raises InputError where latest.json is damaged."""
        path = self.root / LATEST
        try:
            return validated(_Latest, read_json(path, "file", 1 << 16), f"'{path}'").number
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise InputError(f"'{path}' cannot be read ({first_line(error)}); check the path") from None

    def folder(self, number: int) -> Path:
        """The folder of a delta, which may not be there."""
        return self.root / f"{number:06d}"

    def digest(self, number: int) -> str:
        """SHA-256 of the manifest of a delta that is there, or of the version's for 0. Raises OSError."""
        return sha256((self.folder(number) if number else self._base) / MANIFEST)

    def start(self) -> MergedDeltas:
        """The version without any delta. Raises InputError where it is gone."""
        try:
            return MergedDeltas(None, self.digest(0), {}, self._base / DENSE)
        except OSError as error:
            raise InputError(f"'{self._base}' cannot be read ({first_line(error)})") from None

    def next(self, merged: MergedDeltas) -> MergedDeltas:
        """``merged`` and the delta after it, which is read whole and checked.

        Raises InputError where it is missing or damaged, or does not follow: then no later one is of use.
        """
        number = merged.number + 1
        folder = self.folder(number)
        manifest = read_delta(folder, self.version)
        if manifest.follows != merged.digest:
            raise InputError(
                f"'{folder}' follows {manifest.follows[:12]}..., and number {merged.number} is "
                f"{merged.digest[:12]}...; the next full version does without it"
            )
        check_delta(folder, manifest)
        tables = dict(merged.tables)
        for name, rows in open_tables(folder, manifest.tables, self.version).items():
            tables[name] = rows.over(tables.get(name))
        return MergedDeltas(manifest, self.digest(number), tables, folder / DENSE)

    @contextlib.contextmanager
    def writing(
        self, number: int, follows: str, step: int, position: StreamPosition
    ) -> Iterator[tuple[Path, dict[str, int]]]:
        """A folder, and the numbers of rows of its tables, to fill; it is published as delta ``number`` at the end.

        Whoever writes holds the model's lock. Where the block does not end well, nothing stays. Raises OSError.
        """
        self.root.mkdir(exist_ok=True)
        target, created, tables = self.folder(number), time.time(), dict[str, int]()
        for left in self.root.glob(".*"):  # of a process that was killed; nobody else writes here
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with atomic_folder(target) as folder:
            (folder / TABLES).mkdir()
            yield folder, tables
            manifest = DeltaManifest(
                version=self.version.version,
                number=number,
                follows=follows,
                step=step,
                created=created,
                position=position,
                tables=tables,
                files=file_entries(folder),
            )
            write_manifest(folder, manifest)
        write_json(self.root / LATEST, {"number": number, "published": time.time()})
        sync_path(self.root)
