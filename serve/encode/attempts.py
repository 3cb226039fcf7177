"""Attempts at content that ends the process or fails: taken one by one, and given up after a few.

A small file says what is under way. It is not synced: it is about deaths of the process, not of the machine.
"""

import contextlib
from pathlib import Path

from pydantic import Field

from embeddings.errors import InputError
from embeddings.files.json_file import read_json
from embeddings.validation import Strict, validated

MOST = 3  # attempts


class _UnderWay(Strict):
    """``revision`` is the last one of what was being encoded, ``before`` how often it was, alone, before."""

    revision: int = Field(ge=0)
    before: int = Field(ge=0)


class Attempts:
    """At what is encoded into one encoder's vectors; ``file`` is where it says so.

    careful_until  revision up to which entries are to be taken one by one: something before it failed
    """

    def __init__(self, file: Path) -> None:
        self._file, self.careful_until = file, 0
        self._of: dict[int, int] = {}  # revision -> failed attempts at it alone
        with contextlib.suppress(OSError, InputError):  # the process before ended well, or the machine did not
            found = validated(_UnderWay, read_json(file, "file", 1 << 10), f"'{file}'")
            self.careful_until = found.revision
            self._of[found.revision] = found.before

    def begin(self, last: int, alone: bool) -> None:
        """What ends with revision ``last`` is decoded and encoded from now on. Raises OSError."""
        before = self._of.get(last, 0) + 1 if alone else 0
        self._file.write_text(_UnderWay(revision=last, before=before).model_dump_json())

    def end(self) -> None:
        """It is encoded. Raises OSError."""
        self._file.unlink(missing_ok=True)

    def failed(self, last: int, alone: bool) -> None:
        """It was not, and the process goes on. Raises OSError."""
        self.careful_until = max(self.careful_until, last)
        if alone:
            self._of[last] = self._of.get(last, 0) + 1
        self.end()

    def hopeless(self, revision: int) -> bool:
        """Whether there were enough at this one."""
        return self._of.get(revision, 0) >= MOST
