"""Checks of names that become files and folders: one part of a path, no path, not too long, printable."""

import os

from embeddings.errors import InputError, shown

NAME_BYTES = 128  # of what is written atomically: the host and the process are put behind its name meanwhile
FOLDER_BYTES = 255  # file systems take no more


def file_name(name: str) -> str:
    """``name``, where it can name one file or folder. Raises InputError for what is a path, too long or unprintable."""
    if why := _wrong(name, NAME_BYTES):
        raise _refused(name, why, f"one name without '/', of at most {NAME_BYTES} bytes")
    return name


def file_names(name: str) -> str:
    """``name``, where it is one ``file_name`` or several with '/' between them, one folder in another.

    Raises InputError.
    """
    for part in name.split("/"):
        if why := _wrong(part, FOLDER_BYTES):
            raise _refused(name, why, f"names with '/' between them, each of at most {FOLDER_BYTES} bytes")
    return name


def _wrong(name: str, most_bytes: int) -> str | None:
    """Why ``name`` cannot be one part of a path; None where it can."""
    if not name:
        return "a name is missing in it"
    if name in (".", ".."):
        return f"'{name}' means a folder that is there"
    if "/" in name:
        return "it is a path"
    if not name.isprintable():
        return "it has a character that cannot be printed"
    if (length := len(os.fsencode(name))) > most_bytes:
        return f"it has {length} bytes"
    return None


def _refused(name: str, why: str, allowed: str) -> InputError:
    return InputError(f"{shown(name)} cannot name a file or folder: {why}; allowed: {allowed}; choose another name")
