"""Standard output and error that outlive their readers: a pipe or a terminal that is gone ends no command.

A run of hours is not to end of ``| head``, of a log's reader that fails, or of a terminal that is closed.
"""

import errno
import io
import os
import sys
from typing import Any, TextIO

_GONE = {errno.EPIPE, errno.EIO}  # of a pipe, of a terminal


class _Lasting(io.FileIO):
    """A descriptor whose writes go to /dev/null from the first one on that fails; C++ code's too.

    That nobody can read it is no error; any other, such as a full disk's, is raised once.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if error.errno not in _GONE:
                raise
        return super().write(data)


def make_lasting() -> None:
    """Make this process's standard streams lasting; those that are closed go to /dev/null.

    A file that is opened later would otherwise take a closed one's number, and be written into by whoever prints.
    Streams that stand in for the real ones, as in tests, stay. All escape what they cannot show: names that are not
    UTF-8, and any text where the locale is C.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        stream = open(number, "w", closefd=False)
    if not isinstance(stream, io.TextIOWrapper) or not _is_of(stream, number):
        return stream
    stream.flush()
    raw = _Lasting(number, "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # as Python's own -u
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _is_of(stream: io.TextIOWrapper, number: int) -> bool:
    """Whether ``stream`` writes to the descriptor ``number``, and is not lasting yet."""
    try:
        raw = getattr(stream.buffer, "raw", stream.buffer)
        return stream.fileno() == number and not isinstance(raw, _Lasting)
    except (OSError, ValueError):
        return False
