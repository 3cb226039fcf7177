"""Files of a live index: index.json, the environment of its keys, and the names of their places."""

import hashlib
import os
import uuid

from pydantic import ConfigDict, Field

from embeddings.errors import InputError, first_line
from embeddings.files.json_file import read_json
from embeddings.validation import Strict, validated

META = "index.json"
KEYS = "keys"
FROM_SNAPSHOT = "make it anew from a snapshot with 'python -m serve index create --store'"
_MOST_META_BYTES = 1 << 16


class IndexMeta(Strict):
    """index.json. ``identity`` is the index's own, as the keys have it too: files of two indexes do not mix."""

    model_config = ConfigDict(strict=True)

    format: int = Field(ge=1, le=1)
    identity: str = Field(pattern="[0-9a-f]{32}")


def new_meta() -> IndexMeta:
    """That of an index which has never been."""
    return IndexMeta(format=1, identity=uuid.uuid4().hex)


def is_index(path: str) -> bool:
    """Whether a live index lies in folder ``path``."""
    return "://" not in path and os.path.isfile(os.path.join(path, META))


def read_meta(path: str) -> IndexMeta:
    """index.json of the index at ``path``, checked. Raises InputError."""
    file = os.path.join(path, META)
    if not os.path.isfile(file):
        why = f"the folder exists but has no {META}" if os.path.isdir(path) else "no such folder"
        raise InputError(f"no live index at '{path}' ({why}); make one with 'python -m serve index create'")
    try:
        return validated(IndexMeta, read_json(file, "live index's", _MOST_META_BYTES), f"'{file}'")
    except (InputError, OSError) as error:
        raise InputError(f"{error if isinstance(error, InputError) else first_line(error)}; {FROM_SNAPSHOT}") from None


def content_name(identity: str, encoder: str) -> str:
    """What stands for an index's content where a frozen store has its checksum: it stays while vectors come and go."""
    return hashlib.sha256(f"live index {identity} {encoder}".encode()).hexdigest()


def segments_folder(path: str, number: int) -> str:
    """Folder of the vectors of encoder ``number``."""
    return os.path.join(path, f"vectors-{number}")
