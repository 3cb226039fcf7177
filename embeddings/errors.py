"""InputError, an error that a user can cause and fix: shown as one line, without a traceback."""

import difflib
import errno
import reprlib
from collections.abc import Iterable, Sequence

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What the system refuses for a reason that its user can fix; other OSErrors are defects of ours.
FIXABLE = DISK_FULL | {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG, errno.ESTALE, errno.ENOTDIR, errno.ENAMETOOLONG),
    *(errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENFILE),
}


class InputError(ValueError):
    """Input that a user can fix. The text says what, got, allowed and the next step.

    The command line prints it without a traceback and exits with ``status``.
    Any other exception is a defect of ours and keeps its traceback.
    """

    status = 2


class LostRank(InputError):
    """Another rank is gone or stands still. To start again is all there is to do: a status of its own says so."""

    status = 75  # EX_TEMPFAIL of sysexits.h


class _Short(reprlib.Repr):
    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if abs(value) < 10**40 else f"an integer of {value.bit_length():,} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 120


def shown(value: object) -> str:
    """``value`` as an error quotes it: one printable line of a few hundred characters at most.

    The whole of what is large is never made into text: nobody reads a message of 20 MB.
    """
    return one_line(_SHORT.repr(value), 300)


def one_line(text: str, most: int = 2000) -> str:
    """``text`` on one line for a terminal: control characters escaped, what stands beyond ``most`` characters cut."""
    cut = text[:most]
    line = "".join(c if c.isprintable() else " " if c in "\n\t" else c.encode("unicode_escape").decode() for c in cut)
    return line if len(text) <= most else f"{line} ... ({len(text):,} characters in all)"


def listed(items: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """The first of ``items``, and how many more there are."""
    more = f"{separator.rstrip(', ')} and {len(items) - most} more" if len(items) > most else ""
    return separator.join(items[:most]) + more


def for_terminal(text: str, most_lines: int = 60) -> str:
    """What an error says, as the command line prints it: mostly one line, or lines that somebody laid out."""
    lines = text.splitlines()
    more = [f"... and {len(lines) - most_lines} lines more"] if len(lines) > most_lines else []
    return "\n".join([*map(one_line, lines[:most_lines]), *more])


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known name closest to ``name``, or an empty string."""
    matches = difflib.get_close_matches(name[:200], list(known), n=1, cutoff=0.5)  # quadratic in their lengths
    return f"; did you mean '{matches[0]}'?" if matches else ""


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of what ``error`` says, cut to ``most`` characters; its class too where that is a single word."""
    text = one_line((str(error).strip().splitlines() or [""])[0][:most], most)
    return text if " " in text else f"{type(error).__name__} {text}".strip()
