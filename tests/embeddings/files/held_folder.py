"""A folder's lock held by another thread, which is to us as another process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embeddings.errors import InputError
from embeddings.files.folder_lock import folder_lock


@contextmanager
def held_elsewhere(folder: Path, inside: bool = False) -> Iterator[None]:
    """Somebody else writes ``folder`` while inside. Raises InputError where we do."""
    held, release = threading.Event(), threading.Event()
    refusals: list[InputError] = []

    def hold() -> None:
        try:
            with folder_lock(folder, "folder", "wait", inside=inside):
                held.set()
                release.wait()
        except InputError as error:
            refusals.append(error)
            held.set()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        if refusals:
            raise refusals[0]
        yield
    finally:
        release.set()
        thread.join()
