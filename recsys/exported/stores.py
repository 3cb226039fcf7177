"""Opens and checks an exported model's vectors: the store of its checksum, or an index of its encoder."""

import sys
from collections.abc import Callable, Mapping

from embeddings.errors import InputError, first_line
from embeddings.frozen.check_store import check_before_use
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.vector_store import VectorStore
from embeddings.index.open_vectors import open_vectors
from recsys.exported.manifest import StoreEntry

CHECK_S = 60.0  # that a large store without the mark of a check is read for


class NoStore(InputError):
    """A modality whose store is missing, damaged or another one: the model is whole, and may be opened later."""


def open_store(name: str, entry: StoreEntry, folders: Mapping[str, str]) -> VectorStore:
    """The store of modality ``name``: a frozen store, or the vectors of the same encoder in a live index.

    Args:
        folders: modality -> folder of its store, where it is not where it lay at the export.

    Raises NoStore where it cannot be opened, or holds other vectors than those.
    """
    path = folders.get(name, entry.path)
    try:
        store = open_vectors(path, entry.encoder)
    except InputError as error:
        raise NoStore(f"modality '{name}': {error}; or name its store by --store {name}=FOLDER") from None
    if store.live and store.width == entry.width:
        return store  # open_vectors asked for the encoder
    if store.checksum != entry.checksum:
        raise NoStore(
            f"modality '{name}': the store in '{path}' has checksum {store.checksum}, but the model was trained with "
            f"{entry.checksum} (encoder '{entry.encoder}'); name that one by --store {name}=FOLDER"
        )
    return store


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def check_store(name: str, store: VectorStore, say: Callable[[str], None] = _say) -> None:
    """Refuse a store whose vectors are not what its checksum says, as far as ``check_before_use`` reads them.

    Of a live index, which has no checksum, a sample of rows is compared with their CRCs.

    Args:
        name: of its modality.
        say: is told before a large store is read whole, and where there was no time for that.

    Raises NoStore.
    """
    try:
        if isinstance(store, FrozenStore):
            check_before_use(store, say, CHECK_S)
        else:
            from embeddings.index.check_index import check_sample  # lmdb, which stores do without
            from embeddings.index.live_index import LiveIndex

            assert isinstance(store, LiveIndex)
            check_sample(store)
    except (InputError, OSError) as error:
        why = error if isinstance(error, InputError) else f"'{store.path}' cannot be read ({first_line(error)})"
        raise NoStore(f"modality '{name}': {why}; or name another copy by --store {name}=FOLDER") from None
