"""Structural check of a live index's keys: each page of LMDB's file, read before LMDB trusts it, which would abort."""

import contextlib
import os

from lmdb import verify as lmdb_verify

from embeddings.errors import InputError, first_line, one_line
from embeddings.files.folder_lock import folder_lock
from embeddings.index.index_files import FROM_SNAPSHOT, KEYS

SMALL_BYTES = 16 << 20  # of keys that are checked whenever a writer opens them, in less than a second


def check_keys(path: str) -> None:
    """Check the keys of the index at ``path`` while nobody writes to them: 3 s for a million ids.

    Raises InputError where LMDB could not trust them.
    """
    folder = os.path.join(path, KEYS)
    try:
        problems = lmdb_verify.verify(folder)
    except (lmdb_verify.VerifyError, OSError) as error:
        problems = [first_line(error)]
    if problems:
        raise InputError(
            f"live index '{path}': its keys are damaged ({one_line(str(problems[0]), 200)}; {len(problems)} in all); "
            f"{FROM_SNAPSHOT}"
        )


def check_small_keys(path: str) -> None:
    """As ``check_keys``, where the keys are so few that it takes no time."""
    file = os.path.join(path, KEYS, "data.mdb")
    if os.path.isfile(file) and os.path.getsize(file) <= SMALL_BYTES:
        check_keys(path)


def check_keys_at_rest(path: str) -> bool:
    """As ``check_keys``; False, and nothing is checked, where the lock is not to be had. Raises InputError."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(folder_lock(path, "live index", "verify it then", inside=True, patience_s=0))
        except (InputError, OSError):
            return False
        check_keys(path)
    return True
