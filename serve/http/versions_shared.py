"""The versions that the supervisor and its workers share: the one that is to score, and the last that a worker took."""

from multiprocessing.context import BaseContext

_NONE = 0  # versions count from 1


class SharedVersions:
    """Two numbers in shared memory, without a lock: a process that is killed while it holds one would stop all."""

    def __init__(self, context: BaseContext, wanted: str) -> None:
        self._wanted = context.RawValue("q", int(wanted))
        self._taken = context.RawValue("q", _NONE)

    @property
    def wanted(self) -> str:
        """The version that the supervisor has checked last."""
        return f"{self._wanted.value:06d}"

    @wanted.setter
    def wanted(self, version: str) -> None:
        self._wanted.value = int(version)

    @property
    def taken(self) -> str | None:
        """The last version that any worker scored by; None before the first."""
        return f"{self._taken.value:06d}" if self._taken.value != _NONE else None

    @taken.setter
    def taken(self, version: str) -> None:
        self._taken.value = int(version)
