"""Opens an item's vectors wherever they lie: a frozen store, or a live index."""

import os

from embeddings.frozen.store import FrozenStore
from embeddings.frozen.vector_store import VectorStore
from embeddings.index.index_files import is_index


def open_vectors(path: str, encoder: str | None = None) -> VectorStore:
    """The frozen store, or the live index, in folder ``path``, by what lies there.

    Args:
        encoder: of which a live index's vectors are read, None for its active one; a frozen store has one anyway.

    Raises InputError where neither is there, or what is there is damaged.
    """
    path = os.fspath(path)
    if not is_index(path):
        return FrozenStore.open(path)
    from embeddings.index.live_index import LiveIndex  # lmdb, which stores do without

    return LiveIndex(path, encoder)
