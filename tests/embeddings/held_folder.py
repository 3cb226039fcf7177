"""A folder's lock held by another thread, which is to us as another process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embeddings.folder_lock import folder_lock


@contextmanager
def held_elsewhere(folder: Path, inside: bool = False) -> Iterator[None]:
    """Somebody else writes ``folder`` while inside."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with folder_lock(folder, "folder", "wait", inside=inside):
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        release.set()
        thread.join()
