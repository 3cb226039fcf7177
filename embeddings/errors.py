"""InputError, an error that a user can cause and fix: shown as one line, without a traceback."""

import difflib
import errno
from collections.abc import Iterable

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What the system refuses for a reason that its user can fix; other OSErrors are defects of ours.
FIXABLE = DISK_FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.ENAMETOOLONG}


class InputError(ValueError):
    """Input that a user can fix. The text says what, got, allowed and the next step.

    The command line prints it without a traceback and exits with ``status``.
    Any other exception is a defect of ours and keeps its traceback.
    """

    status = 2


class LostRank(InputError):
    """Another rank is gone or stands still. To start again is all there is to do: a status of its own says so."""

    status = 75  # EX_TEMPFAIL of sysexits.h


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known name closest to ``name``, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of what ``error`` says, cut to ``most`` characters; its class too where that is a single word."""
    text = (str(error).strip().splitlines() or [""])[0][:most]
    return text if " " in text else f"{type(error).__name__} {text}".strip()
