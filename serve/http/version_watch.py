"""Looks for new versions of a model and checks each once, for all workers."""

import os
from pathlib import Path

from embeddings.errors import InputError, first_line, for_terminal
from recsys.exported.manifest import check_content, read_manifest
from recsys.exported.versions import CURRENT, Versions
from serve.http.log import log
from serve.http.metrics import Refusals
from serve.http.versions_shared import SharedVersions


def check_version(versions: Versions, version: str) -> None:
    """Read all files of ``version``. Raises InputError where it is damaged, half-written or gone."""
    folder = versions.folder(version)
    if version != f"{int(version):06d}":
        raise InputError(f"'{folder}' is no name of a version: six digits, or more without zeros before them")
    try:
        check_content(folder, read_manifest(folder))
    except OSError as error:
        raise InputError(f"'{folder}' cannot be read ({first_line(error)})") from None


class VersionWatch:
    """Has workers want each new version once it is found whole; one that is not is looked at again when it changes."""

    def __init__(self, versions: Versions, shared: SharedVersions, refusals: Refusals) -> None:
        self._versions, self._shared, self._refusals = versions, shared, refusals
        self._refused: object = None  # what the files were like

    def look(self) -> None:
        """Look once."""
        try:
            version = self._versions.current()
        except InputError as error:
            self._refuse(self._files(None), error)
            return
        if version == self._shared.wanted:
            self._refused = None
            return
        files = self._files(version)  # before they are read: what changes meanwhile is looked at again
        if files == self._refused:
            return
        try:
            check_version(self._versions, version)
        except InputError as error:
            self._refuse(files, error)
            return
        self._refused = None
        self._shared.wanted = version
        log(f"version {version} is whole; scoring by it")

    def _refuse(self, files: tuple, error: InputError) -> None:
        if files != self._refused:
            self._refused = files
            self._refusals.refusal()
            log(f"version {self._shared.wanted} goes on: {for_terminal(str(error))}")

    def _files(self, version: str | None) -> tuple:
        """Names, sizes and times of current.json and of the files of ``version``."""
        root = self._versions.root
        paths = [root / CURRENT]
        for folder, _, names in os.walk(self._versions.folder(version)) if version is not None else ():
            paths += [Path(folder, name) for name in sorted(names)]
        return tuple((str(path), *_size_and_time(path)) for path in paths)


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_size, about.st_mtime_ns
