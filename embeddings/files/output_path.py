"""Output paths: where a command is to write, checked before its work, so that its result can take its name in the end.

Each function returns the path to write to: ``~`` is the home folder, links are followed, slashes at the end and '..'
are gone. Whether something that exists there may be replaced is for each command to check.
"""

import os
import tempfile

from embeddings.errors import InputError, shown
from embeddings.files.file_name import NAME_BYTES


def output_file(path: str) -> str:
    """Path of a file that is written, or replaced. Raises InputError where none can be."""
    place, real = _followed(path)
    if os.path.isdir(real) or os.path.basename(os.path.expanduser(path)) in ("", ".", ".."):
        raise InputError(f"{shown(path)} is a folder; name a file in it")
    if os.path.exists(real) and not os.path.isfile(real):
        raise InputError(f"{shown(path)} is no plain file, which alone can be replaced; name another file")
    _refuse_unwritable(path, real)
    return place


def output_folder(path: str) -> str:
    """Path of a folder that appears once it is whole, or replaces another. Raises InputError where none can."""
    place, real = _followed(path)
    _refuse_file(path, real)
    if os.path.commonpath([real, os.getcwd()]) == real:
        raise InputError(f"{shown(path)} is or holds the current folder, which cannot be replaced; name one below it")
    if os.path.ismount(real):
        raise InputError(f"{shown(path)} is the top of a disk, which cannot be replaced; name a folder below it")
    _refuse_unwritable(path, real)
    return place


def output_place(path: str) -> str:
    """Path of a folder, there or not, into which files are written. Raises InputError where they cannot be."""
    place, real = _followed(path)
    _refuse_file(path, real)
    _refuse_unwritable(path, os.path.join(real, "file"))
    return place


def _followed(path: str) -> tuple[str, str]:
    """``path`` as it is written to, and all of it from the root."""
    if not path or "\0" in path:
        raise InputError(f"{shown(path)} is no path; name a file or folder to write")
    if "://" in path:
        raise InputError(f"{shown(path)} is an address; allowed: a path of this machine; write there, then copy it")
    home = os.path.expanduser(path)
    real = os.path.realpath(home)
    if os.path.islink(real):
        raise InputError(f"{shown(path)} is a link that leads to itself; remove it, or name another place")
    return (os.path.normpath(home) if os.path.abspath(home) == real else real), real


def _refuse_file(path: str, real: str) -> None:
    if os.path.lexists(real) and not os.path.isdir(real):
        raise InputError(f"{shown(path)} is a file; name a folder")


def _refuse_unwritable(path: str, real: str) -> None:
    """Raises InputError where nothing of the path ``real`` can be made, with the folders that are missing above it."""
    names: list[str] = []
    above = real
    while not names or not os.path.lexists(above):
        above, name = os.path.split(above)
        names.append(name)
    if (length := max(len(os.fsencode(name)) for name in names)) > NAME_BYTES:
        raise InputError(f"{shown(path)} has a name of {length} bytes; allowed: {NAME_BYTES}; choose a shorter one")
    if not os.path.isdir(above):
        raise InputError(f"{shown(path)} cannot be written, as {shown(above)} is a file; name another place")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".output-", dir=above))  # access() does not know of all that may forbid it
    except OSError as error:
        raise InputError(
            f"{shown(path)} cannot be written, as nothing can be made in {shown(above)} "
            f"({(error.strerror or str(error)).lower()}); name another place"
        ) from None
