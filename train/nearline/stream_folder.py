"""Follows the folder of a stream: which file is next; says what is missing, damaged, delivered again or no file of it.

On one rank, which tells the others.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from embeddings.errors import InputError, shown
from recsys.stream.stream_file import END, file_name, last_number, number_of

GAP_S = 5.0  # for which a file may be missing while later ones are there, before that is said
_SCAN_S = 1.0  # between looks at all names of the folder
_Signature = tuple[int, int, int]  # of a file: inode, size and time


@dataclass
class StreamCounters:
    """What was seen of a stream, since its training began.

    files, rows  trained on
    again     files that came again after they were trained on, and are not read again
    damaged   files that were refused
    gaps      files that were waited for while later ones were there
    backwards files whose event times begin before the latest one of those before
    """

    files: int = 0
    rows: int = 0
    again: int = 0
    damaged: int = 0
    gaps: int = 0
    backwards: int = 0

    def as_row(self) -> dict[str, int]:
        return asdict(self)


def say(text: str) -> None:
    """Tell whoever watches the process."""
    print(text, file=sys.stderr, flush=True)


class StreamFolder:
    """The folder of a stream, of which the file ``number`` is next.

    Args:
        clock: seconds that go on evenly.
    """

    def __init__(
        self, path: str, number: int, counters: StreamCounters, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path, self.number, self.counters = Path(path), number, counters
        self._clock = clock
        self._refused: _Signature | None = None  # the next file, as it was when it was found damaged
        self._trained: dict[int, _Signature | None] = {}  # files before, as they were when they were read
        self._scanned: float | None = None
        self._gap_since: float | None = None
        self._said: set[str] = set()

    def look(self) -> Path | None:
        """The next file, once it is there and not the one that was refused; None: there is nothing yet."""
        path = self.path / file_name(self.number)
        now = self._clock()
        if self._scanned is None or now - self._scanned >= _SCAN_S:
            self._scan(now)
        signature = _signature(path)
        if signature is None or signature == self._refused:
            return None
        return path

    @property
    def ended(self) -> bool:
        """Whether the stream has an end, and the next file is behind it. A damaged end.json is said, and is none."""
        try:
            last = last_number(self.path)
        except (InputError, OSError) as error:
            self._say(str(error))
            return False
        return last is not None and self.number > last

    def taken(self) -> None:
        """The next file was trained on to its end."""
        self._trained[self.number] = _signature(self.path / file_name(self.number))
        self.number += 1
        self._refused, self._gap_since = None, None

    def refuse(self, path: Path, why: str) -> None:
        """The next file cannot be used: wait until another one takes its place."""
        self._refused = _signature(path)
        self.counters.damaged += 1
        self._say(f"{why}; training waits for it")

    def _scan(self, now: float) -> None:
        first = self._scanned is None
        self._scanned = now
        later, others = 0, []
        try:
            for entry in os.scandir(self.path):
                number = number_of(entry.name)
                if number is None:
                    if not entry.name.startswith((".", "_")) and entry.name != END:
                        others.append(entry.name)
                elif number < self.number:
                    self._look_again(number, first)
                elif number > self.number:
                    later += 1
        except OSError as error:
            self._say(f"stream '{self.path}' cannot be listed ({error.strerror}); training waits for it")
            return
        for name in sorted(others)[:3]:
            self._say(f"note: '{self.path}' holds {shown(name)}, no NUMBER.parquet of 12 digits: passed over")
        if later and not (self.path / file_name(self.number)).exists():
            self._gap_since = self._gap_since or now
            if now - self._gap_since >= GAP_S and self._say(
                f"stream '{self.path}': {file_name(self.number)} is missing, and {later} later ones are there; it "
                "is waited for (an empty file of that number stands for one that is lost)"
            ):
                self.counters.gaps += 1
        else:
            self._gap_since = None

    def _look_again(self, number: int, first: bool) -> None:
        """Count a file that is behind us and has changed, or come, since it was read."""
        now = _signature(self.path / file_name(number))
        if number not in self._trained:
            self._trained[number] = now
            if first:  # whoever goes on finds what was trained on before
                return
        elif now is None or now == self._trained[number]:
            return
        self._trained[number] = now
        self.counters.again += 1
        self._say(f"stream '{self.path}': {file_name(number)} has come again; it was trained on, and is not read again")

    def _say(self, text: str) -> bool:
        """Say it, once. Whether it was new."""
        new = text not in self._said
        if new:
            self._said.add(text)
            say(text)
        return new


def _signature(path: Path) -> _Signature | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns
