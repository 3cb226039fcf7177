"""The scorer's log: lines on standard error, of which a full disk or a reader that is gone ends no request."""

import contextlib
import sys


def log(line: str) -> None:
    """Write a line; where the system refuses it, it is lost."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
