"""Opens the frozen stores of a schema's modalities."""

from embeddings.frozen.store import FrozenStore
from recsys.models.config import ArchConfig
from recsys.schema import Schema


def open_stores(schema: Schema, model: ArchConfig, folder: str) -> dict[str, FrozenStore]:
    """The stores of the modalities that the model uses, by modality.

    Args:
        folder: the schema's, where relative paths of stores start.

    Raises InputError where a store is missing or damaged.
    """
    return {name: FrozenStore.open(m.store_path(folder)) for name, m in schema.modalities.items() if model.uses(name)}
