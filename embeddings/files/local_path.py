"""Paths as users write them: ~ is their home folder, and a URL is no path."""

import os
import re

from embeddings.errors import InputError, shown

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def local_path(text: str) -> str:
    """``text`` with ``~`` or ``~user`` at its beginning filled in. Raises InputError for unknown users and for URLs."""
    if _URL.match(text):
        raise InputError(
            f"{shown(text)} is a URL, and this is read and written through the file system; mount the bucket "
            f"(mountpoint-s3, gcsfuse, hadoop-fuse) and give its folder, or copy the files here"
        )
    return with_home(text)


def with_home(text: str) -> str:
    """``text``, which may be a URL, with ``~`` or ``~user`` at its beginning filled in. Raises InputError."""
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise InputError(f"{shown(text)}: there is no home folder of that user; a folder of that name is './~...'")
    return path
