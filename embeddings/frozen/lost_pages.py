"""Names the file of a frozen store whose pages are gone: it was cut short while it was mapped, which raises SIGBUS."""

import weakref

import numpy as np

from embeddings.errors import one_line
from embeddings.frozen.store import FrozenStore
from embeddings.kernels.native import name_mapping
from embeddings.launched_rank import rank_prefix


def name_lost_pages(store: FrozenStore) -> None:
    """From here on a SIGBUS in the store's memory maps ends the process with one line that names the file, status 2.

    Without the native library it remains a SIGBUS without words.
    """
    for stored in store.stored.values():
        line = one_line(
            f"error: '{stored.file}' was cut short, or its disk failed, while this process had it mapped; put the "
            f"store back, see that 'python -m train store verify {store.path}' passes, then start again; a run goes on "
            "from its last checkpoint with run.resume=true"
        )
        map_of_it: object = stored.array
        while isinstance(map_of_it, np.ndarray) and map_of_it.base is not None:
            map_of_it = map_of_it.base
        forget = name_mapping(stored.array.ctypes.data, stored.array.nbytes, f"\n{rank_prefix()}{line}\n")
        weakref.finalize(map_of_it, forget)
