"""Write beside, then rename: a file takes its place once it is whole and on disk."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def beside(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``path`` where the block ends well, and vanishes where it does not.

    Whoever may read other new files may read it, unlike those of ``tempfile``, which are for their maker alone: runs
    are a team's. Raises OSError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}")
    with open(temporary, "wb") as out:
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())  # or a loss of power may leave the name without what it names
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
