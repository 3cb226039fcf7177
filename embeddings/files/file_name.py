"""Names that become files and folders: one part of a path, checked where it is first read, not where it is written."""

import os

from embeddings.errors import InputError, shown

MOST_BYTES = 128  # file systems take 255, and atomic writes put the host and the process behind a name


def file_name(name: str) -> str:
    """``name``, where it can name one file or folder. Raises InputError for what is a path, too long or unprintable."""
    if why := _wrong(name):
        raise _refused(name, why, f"one name without '/', of at most {MOST_BYTES} bytes")
    return name


def file_names(name: str) -> str:
    """``name``, where it is one ``file_name`` or several with '/' between them, one folder in another.

    Raises InputError.
    """
    for part in name.split("/"):
        if why := _wrong(part):
            raise _refused(name, why, f"names with '/' between them, each of at most {MOST_BYTES} bytes")
    return name


def _wrong(name: str) -> str | None:
    """Why ``name`` cannot be one part of a path; None where it can."""
    if not name:
        return "a name is missing in it"
    if name in (".", ".."):
        return f"'{name}' means a folder that is there"
    if "/" in name:
        return "it is a path"
    if not name.isprintable():
        return "it has a character that cannot be printed"
    if (length := len(os.fsencode(name))) > MOST_BYTES:
        return f"it has {length} bytes"
    return None


def _refused(name: str, why: str, allowed: str) -> InputError:
    return InputError(f"{shown(name)} cannot name a file or folder: {why}; allowed: {allowed}; choose another name")
