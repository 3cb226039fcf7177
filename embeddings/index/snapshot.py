"""Snapshot of a live index: its vectors as of one commit, written as a frozen store, bit for bit."""

from collections.abc import Iterator

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.store_writer import Block, write_blocks
from embeddings.index.check_index import read_rows
from embeddings.index.live_index import LiveIndex

_AT_ONCE = 1 << 15  # rows


def write_snapshot(index: LiveIndex, path: str, overwrite: bool = False) -> FrozenStore:
    """Write the vectors that ``index`` holds now to a frozen store at ``path``, and open that.

    The writer goes on meanwhile. Raises InputError for an index without vectors, a damaged row, an existing ``path``
    without ``overwrite``, and a folder that cannot be written.
    """
    ids, rows, crcs = index.all_rows()
    if not ids.size:
        raise InputError(
            f"live index '{index.path}' holds no vectors, and a frozen store has at least one; put some first"
        )

    def blocks() -> Iterator[Block]:
        for first in range(0, ids.size, _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            yield (ids[part], *read_rows(index, ids[part], rows[part], crcs[part]))

    write_blocks(path, blocks(), ids.size, index.width, dtype=index.dtype, encoder=index.encoder, overwrite=overwrite)
    return FrozenStore.open(path)
