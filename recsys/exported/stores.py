"""Opens the frozen stores that an exported model was trained with: of a modality, the one of that checksum."""

from collections.abc import Mapping

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from recsys.exported.manifest import StoreEntry


class NoStore(InputError):
    """A modality whose store is missing, damaged or another one: the model is whole, and may be opened later."""


def open_store(name: str, entry: StoreEntry, folders: Mapping[str, str]) -> FrozenStore:
    """The store of modality ``name``.

    Args:
        folders: modality -> folder of its store, where it is not where it lay at the export.

    Raises NoStore where it cannot be opened, or has another checksum.
    """
    path = folders.get(name, entry.path)
    try:
        store = FrozenStore.open(path)
    except InputError as error:
        raise NoStore(f"modality '{name}': {error}; or name its store by --store {name}=FOLDER") from None
    if store.checksum != entry.checksum:
        raise NoStore(
            f"modality '{name}': the store in '{path}' has checksum {store.checksum}, but the model was trained with "
            f"{entry.checksum} (encoder '{entry.encoder}'); name that one by --store {name}=FOLDER"
        )
    return store
