"""Opens the vectors of a schema's modalities: frozen stores, or live indexes."""

from embeddings.frozen.vector_store import VectorStore
from embeddings.index.open_vectors import open_vectors
from recsys.models.config import ArchConfig
from recsys.schema import Schema


def open_stores(schema: Schema, model: ArchConfig, folder: str) -> dict[str, VectorStore]:
    """The stores of the modalities that the model uses, by modality.

    Args:
        folder: the schema's, where relative paths of stores start.

    Raises InputError where a store is missing or damaged.
    """
    return {name: open_vectors(m.store_path(folder)) for name, m in schema.modalities.items() if model.uses(name)}
