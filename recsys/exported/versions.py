"""Versions of an exported model: the folder of all, which one is current, how many are kept."""

import contextlib
import datetime
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from embeddings.errors import InputError, first_line, listed, shown
from embeddings.files.atomic_file import atomic_folder, sync_path
from embeddings.files.folder_lock import folder_lock
from embeddings.files.json_file import read_json, write_json
from embeddings.validation import Count, Strict, validated
from recsys.exported.version_manifest import VERSION

CURRENT = "current.json"
_REMOVED = ".removed-"
_VERSION = re.compile(VERSION)
_DELTAS = ".d"  # after a version's number: the folder of its deltas
_UNFINISHED = re.compile(r"\.[0-9]{6,12}\.")  # as atomic_folder calls a version until it is whole


class Current(Strict):
    """current.json: the version that scorers take, and the step that it was exported at."""

    version: str = Field(pattern=VERSION)
    step: Count
    published: str


class Versions:
    """The folder ``root`` of an exported model, such as models/shop."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def all(self) -> list[str]:
        """Versions that are whole or once were, oldest first."""
        if not self.root.is_dir():
            return []
        return sorted((p.name for p in self.root.iterdir() if _VERSION.fullmatch(p.name) and p.is_dir()), key=int)

    def current(self) -> str:
        """The version that scorers are to take. Raises InputError where there is none, or current.json is damaged."""
        path = self.root / CURRENT
        try:
            return validated(Current, read_json(path, "file", 1 << 16), f"'{path}'").version
        except FileNotFoundError:
            raise InputError(
                f"'{self.root}' has no {CURRENT}: it is no exported model; make one with "
                f"python -m train export RUN --out {self.root}"
            ) from None
        except OSError as error:
            raise InputError(f"'{path}' cannot be read ({first_line(error)}); check the path") from None

    def named(self, version: str | None) -> str:
        """``version``, which must be there, or the current one for None. Raises InputError."""
        if version is None:
            return self.current()
        if version not in (there := self.all()):
            raise InputError(f"'{self.root}' has no version {shown(version)}; there are: {', '.join(there) or 'none'}")
        return version

    def folder(self, version: str) -> Path:
        """The folder of ``version``, which may not be there."""
        return self.root / version

    def deltas(self, version: str) -> Path:
        """The folder of the deltas of ``version``, which may not be there."""
        return self.root / f"{version}{_DELTAS}"

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keeps other processes from writing into the folder. Raises InputError where one does."""
        return folder_lock(self.root, "exported model", "name another --out", check=self.refuse_other)

    @contextlib.contextmanager
    def writing(self, step: int, keep: int) -> Iterator[tuple[str, Path]]:
        """The next version, and a folder to fill, which gets its name and is published where the block ends well.

        Where it does not, nothing of it stays. Raises InputError where another process writes a version, or the folder
        holds something else; OSError.
        """
        with self.lock():
            there = self.root.is_dir()
            self.root.mkdir(parents=True, exist_ok=True)
            self._clear()
            version = f"{self._newest() + 1:06d}"
            try:
                with atomic_folder(self.folder(version)) as folder:
                    yield version, folder
                self.publish(version, step, keep)
            except BaseException:
                self._discard(version, there)
                raise

    def _discard(self, version: str, there: bool) -> None:
        """Remove a version that did not become current, and the folder of all where it was not ``there`` before."""
        with contextlib.suppress(InputError):  # there is no current.json
            if self.current() == version:
                return
        shutil.rmtree(self.folder(version), ignore_errors=True)
        if not there:
            with contextlib.suppress(OSError):  # it holds something
                self.root.rmdir()

    def _newest(self) -> int:
        """The highest number that was given; scorers know a version by it, even one that is gone."""
        numbers = [0, *map(int, self.all())]
        with contextlib.suppress(InputError):  # it is damaged, or not there
            numbers.append(int(self.current()))
        return max(numbers)

    def refuse_other(self) -> None:
        """Raise InputError where the folder is there, and neither empty nor one of exported models."""
        if not self.root.is_dir() or (self.root / CURRENT).is_file():
            return
        names = sorted(p.name for p in self.root.iterdir() if not p.name.startswith("."))
        if others := [name for name in names if not _VERSION.fullmatch(name)]:
            raise InputError(
                f"'{self.root}' is no exported model: it has no {CURRENT}, but {listed(others)}; name another --out"
            )

    def publish(self, version: str, step: int, keep: int) -> None:
        """Have current.json name ``version``, and remove all but the newest ``keep`` and it. Raises OSError."""
        published = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        write_json(self.root / CURRENT, Current(version=version, step=step, published=published).model_dump())
        sync_path(self.root)
        kept = {version, *self.all()[-keep:]}
        for old in self.all():
            if old not in kept:
                aside = self.root / f"{_REMOVED}{old}"  # so that nobody opens one that is half gone
                os.rename(self.folder(old), aside)
                shutil.rmtree(aside)
                shutil.rmtree(self.deltas(old), ignore_errors=True)

    def _clear(self) -> None:
        """Remove what a process that was killed left: versions half written or half removed, and a new current.json.

        Under the lock, so that nobody is at them.
        """
        for left in self.root.glob(".*"):
            if left.name.startswith((_REMOVED, f".{CURRENT}.")) or _UNFINISHED.match(left.name):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
