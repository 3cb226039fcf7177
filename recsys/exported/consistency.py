"""Whether the manifest of an exported model and its schema are of one model: tables, modalities, ways of hashing."""

from pathlib import Path

from embeddings.errors import InputError, listed
from recsys.exported.manifest import Manifest
from recsys.exported.version_manifest import EXPORT_AGAIN, MANIFEST
from recsys.schema import Schema, zch_tables


def refuse_inconsistent(folder: Path, manifest: Manifest, schema: Schema) -> None:
    """Raise InputError where the manifest of the version in ``folder`` does not fit its schema.

    What was exported does; digests cannot tell what somebody else has put together.
    """
    model = manifest.model
    tables = schema.tables if model.has_tables else {}
    wanted = {
        name: (table.num_embeddings, table.embedding_dim or model.embedding_dim) for name, table in tables.items()
    }
    got = {name: (entry.rows, entry.width) for name, entry in manifest.tables.items()}
    wrong = [f"table '{name}'" for name in sorted(wanted.keys() | got.keys()) if wanted.get(name) != got.get(name)]
    wrong += [f"table '{name}', whose ids are zch," for name in zch_tables(schema) if model.has_tables]
    named = [name for names in model.named_modalities.values() for name in names]
    wrong += [f"modality '{name}'" for name in sorted(set(named) - schema.modalities.keys())]
    used = {name for name in schema.modalities if model.uses(name)}
    wrong += [f"modality '{name}'" for name in sorted(used ^ manifest.stores.keys())]
    if wrong:
        raise InputError(f"'{folder / MANIFEST}' does not fit the schema beside it: {listed(wrong)}; {EXPORT_AGAIN}")
