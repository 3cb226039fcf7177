"""Makes a live index: a folder that appears whole, without vectors."""

import os

from embeddings.errors import InputError
from embeddings.files.atomic_file import atomic_folder
from embeddings.files.json_file import write_json
from embeddings.index.encoders import add_encoder
from embeddings.index.index_files import KEYS, META, new_meta
from embeddings.index.index_writer import IndexWriter
from embeddings.index.key_layout import encoder_meta
from embeddings.index.key_store import create_keys, key_store


def create_index(path: str, encoder: str, width: int, dtype: str = "float16") -> IndexWriter:
    """Make an index at ``path`` for the vectors of ``encoder``, which is its active one, and open it for writing.

    Where an index lies there, the encoder's vectors are begun beside those that it has; see ``IndexWriter.activate``.

    Raises InputError where something else is at ``path``, the index has that encoder, or the disk takes no more.
    """
    path = os.fspath(path)
    about = encoder_meta(encoder, width, dtype)
    if os.path.isfile(os.path.join(path, META)):
        writer = IndexWriter(path)
        try:
            writer.add_encoder(encoder, width, dtype)
        except InputError:
            writer.close()
            raise
        return writer
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise InputError(f"'{path}' exists and is no live index, so it is not replaced; choose another path")
    meta = new_meta()
    with atomic_folder(path) as folder:
        create_keys(os.path.join(folder, KEYS), meta)
        write_json(os.path.join(folder, META), meta.model_dump())
        with key_store(str(folder)) as keys:
            add_encoder(keys, about)
    return IndexWriter(path)
