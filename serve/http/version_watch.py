"""Looks for new versions of a model and checks each once, for all workers."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from embeddings.errors import InputError, first_line, for_terminal
from recsys.exported.manifest import read_manifest
from recsys.exported.stores import NoStore, check_store, open_store
from recsys.exported.version_manifest import check_content
from recsys.exported.versions import CURRENT, Versions
from serve.http.log import log
from serve.http.metrics import Refusals
from serve.http.retry_wait import FIRST_WAIT_S, LONGEST_WAIT_S, RetryWait
from serve.http.versions_shared import SharedVersions


def check_version(versions: Versions, version: str, stores: Mapping[str, str]) -> None:
    """Open and check the stores of ``version``, and read all of its files.

    Args:
        stores: modality -> folder of its frozen store, where it is not where it lay at the export.

    Raises InputError where it is damaged, half-written or gone; NoStore where a store is missing, damaged or
    another one.
    """
    folder = versions.folder(version)
    if version != f"{int(version):06d}":
        raise InputError(f"'{folder}' is no name of a version: six digits, or more without zeros before them")
    try:
        manifest = read_manifest(folder)
        opened = {name: open_store(name, entry, stores) for name, entry in manifest.stores.items()}
        for name, store in opened.items():
            check_store(name, store, log)
        check_content(folder, manifest)
    except OSError as error:
        raise InputError(f"'{folder}' cannot be read ({first_line(error)})") from None


class VersionWatch:
    """Has workers want each new version once it is found whole, with its stores.

    One that is damaged is looked at again when its files change; one whose stores are missing after a growing wait,
    too. Each reason is said and counted once.

    Args:
        stores: as for ``check_version``.
    """

    def __init__(
        self, versions: Versions, stores: Mapping[str, str], shared: SharedVersions, refusals: Refusals
    ) -> None:
        self._versions, self._stores, self._shared, self._refusals = versions, stores, shared, refusals
        self._files_seen: tuple | None = None  # of the version that was refused
        self._damaged = False
        self._wait = RetryWait(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._said: set[str] = set()

    def look(self) -> None:
        """Look once."""
        try:
            version = self._versions.current()
        except InputError as error:
            self._refuse(error)
            return
        if version == self._shared.wanted:
            self._forget()
            return
        files = self._files(version)  # before they are read: what changes meanwhile is looked at again
        if files != self._files_seen:
            self._files_seen, self._damaged = files, False
            self._wait.reset()
        if self._damaged or not self._wait.over(time.monotonic()):
            return
        try:
            check_version(self._versions, version, self._stores)
        except InputError as error:
            self._damaged = not isinstance(error, NoStore)
            self._wait.failed(time.monotonic())
            self._refuse(error)
            return
        self._forget()
        self._shared.wanted = version
        log(f"version {version} is whole; scoring by it")

    def _forget(self) -> None:
        self._files_seen = None
        self._said.clear()

    def _refuse(self, error: InputError) -> None:
        why = for_terminal(str(error))
        if why not in self._said:
            self._said.add(why)
            self._refusals.refusal()
            log(f"version {self._shared.wanted} goes on: {why}")

    def _files(self, version: str) -> tuple:
        """Names, sizes and times of current.json and of the files of ``version``."""
        root = self._versions.root
        paths = [root / CURRENT]
        for folder, _, names in os.walk(self._versions.folder(version)):
            paths += [Path(folder, name) for name in sorted(names)]
        return tuple((str(path), *_size_and_time(path)) for path in paths)


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_size, about.st_mtime_ns
