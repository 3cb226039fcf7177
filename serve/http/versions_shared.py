"""The versions that the supervisor and its workers share: the one that is to score, and the last that a worker took."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path

from embeddings.errors import InputError, first_line

_NONE = 0  # versions count from 1
_DELTA_BITS = 23  # of the number that says the version too, so that both are read at once


class SharedVersions:
    """Two numbers in shared memory, without a lock: a process that is killed while it holds one would stop all.

    With them goes the folder of what the supervisor merges of deltas, for the workers to map.
    """

    def __init__(self, context: BaseContext, wanted: str) -> None:
        self._wanted = context.RawValue("q", int(wanted) << _DELTA_BITS)
        self._taken = context.RawValue("q", _NONE)
        self._deltas: Path | None = None

    @property
    def wanted(self) -> str:
        """The version that the supervisor has checked last."""
        return self.wanted_deltas[0]

    @wanted.setter
    def wanted(self, version: str) -> None:
        self.wanted_deltas = version, 0

    @property
    def wanted_deltas(self) -> tuple[str, int]:
        """The same, and how many of its deltas are merged."""
        version, delta = divmod(self._wanted.value, 1 << _DELTA_BITS)
        return f"{version:06d}", delta

    @wanted_deltas.setter
    def wanted_deltas(self, wanted: tuple[str, int]) -> None:
        version, delta = wanted
        self._wanted.value = (int(version) << _DELTA_BITS) + delta

    @property
    def taken(self) -> str | None:
        """The last version that any worker scored by; None before the first."""
        return f"{self._taken.value:06d}" if self._taken.value != _NONE else None

    @taken.setter
    def taken(self, version: str) -> None:
        self._taken.value = int(version)

    @contextlib.contextmanager
    def folder_of_deltas(self) -> Iterator[None]:
        """Has a folder for merged deltas while inside. Raises InputError where none can be made."""
        try:
            self._deltas = Path(tempfile.mkdtemp(prefix="tierwise-deltas-"))
        except OSError as error:
            raise InputError(
                f"no folder for merged deltas can be made ({first_line(error)}); name one in TMPDIR"
            ) from None
        try:
            yield
        finally:
            self.remove_deltas()

    def remove_deltas(self) -> None:
        """Remove that folder; who has files of it mapped keeps them."""
        if self._deltas is not None:
            shutil.rmtree(self._deltas, ignore_errors=True)

    def merged(self, version: str, delta: int) -> Path:
        """The folder of the first ``delta`` deltas of ``version``, merged."""
        assert self._deltas is not None, "folder_of_deltas makes it"
        return self._deltas / f"{version}+{delta}"
