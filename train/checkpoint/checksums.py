"""Checksums of a checkpoint's files, and progress.json, which holds them and what else was saved."""

import zlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from embeddings.errors import InputError, first_line
from embeddings.files.json_file import read_json
from embeddings.validation import Count, validated
from train.checkpoint.shard_index import ShardFile

PROGRESS = "progress.json"
_CHUNK = 4 << 20


class Progress(BaseModel):
    """What progress.json holds for the checkpointer. Kinds of training derive theirs, which say what else they need.

    Other keys are left as they are, and checked by nobody.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    files: dict[ShardFile, tuple[Count, Count]]
    step: Count
    world_size: Annotated[int, Field(ge=1, lt=1 << 31)]
    device: str | None = None  # older checkpoints do not say
    is_best: bool


def checksum(path: Path) -> int:
    """CRC-32 of a file. The interpreter is free for other threads meanwhile."""
    value = 0
    with open(path, "rb", buffering=0) as source:
        while chunk := source.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def read_progress(path: Path, model: type[Progress] = Progress) -> dict[str, Any]:
    """What was saved with checkpoint ``path``: plain data that ``model`` takes. Raises InputError where it is not."""
    try:
        progress = validated(model, read_json(path / PROGRESS, "progress"), PROGRESS)
    except (OSError, InputError) as error:
        raise damaged(path, first_line(error)) from error
    return progress.model_dump(exclude_unset=True)


def check_files(path: Path, files: dict[str, list[int]]) -> str | None:
    """What is wrong with ``files`` of checkpoint ``path``; None where nothing is."""
    for name, (size, wanted) in files.items():
        try:
            got = (path / name).stat().st_size
            if not (path / name).is_file():
                return f"'{name}' is no file"  # a pipe would be waited for
            if got != size:
                return f"'{name}' has {got} bytes instead of {size}"
            if checksum(path / name) != wanted:
                return f"'{name}' has changed since it was written"
        except OSError as error:
            return first_line(error)
    return None


def damaged(path: Path, why: str) -> InputError:
    """The error for a checkpoint that is not whole."""
    return InputError(f"checkpoint '{path}' is damaged: {why}; remove it or name another")
