"""Writes a data folder: splits of rows, their schema, stores and provenance; whole, or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from embeddings.errors import DISK_FULL, InputError
from embeddings.files.atomic_file import atomic_folder
from embeddings.files.folder_lock import folder_lock
from embeddings.files.json_file import write_json
from recsys.datasets.io.split_writer import SplitCount
from recsys.schema import Schema, save_schema

PROVENANCE = "prepare.json"


@contextlib.contextmanager
def data_folder(path: str, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises InputError where ``path`` exists without ``overwrite``, is no data folder, is written by another process or
    cannot be made; or a full disk.
    """
    out = Path(os.path.abspath(path))

    def check() -> None:
        _check_target(out, path, overwrite)

    try:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(folder_lock(out, "data folder", "choose another --out", check=check))
                folder = stack.enter_context(atomic_folder(out))
            except OSError as error:
                if error.errno in DISK_FULL:
                    raise
                raise InputError(
                    f"cannot write below '{out.parent}' ({error.strerror}); choose another --out"
                ) from error
            yield folder
    except (OSError, InputError) as error:
        cause = error.__cause__ if isinstance(error, InputError) else error
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            raise _no_space(path) from error
        raise


def _check_target(out: Path, path: str, overwrite: bool) -> None:
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / PROVENANCE).is_file():
        raise InputError(f"'{path}' exists and was not made by prepare, so it is not replaced; choose another --out")
    if not overwrite:
        raise InputError(f"'{path}' exists already; pass --overwrite to replace it, or choose another --out")


def _no_space(path: str) -> InputError:
    return InputError(
        f"no space left on the disk of '{path}', and nothing was kept there; free some space or choose another --out"
    )


def write_description(
    folder: Path, schema: Schema, generator: str, flags: dict[str, Any], counts: dict[str, SplitCount], **facts: Any
) -> None:
    """Write ``schema.yaml`` and ``prepare.json``: who made the folder, from what, and what it holds."""
    save_schema(schema, str(folder))
    provenance = {
        "generator": generator,
        "flags": flags,
        "seed": flags.get("seed"),  # none where nothing is drawn
        "rows": {split: count.rows for split, count in counts.items()},
        "positives": {split: count.positives for split, count in counts.items()},
        **facts,
        "versions": {"numpy": np.__version__, "pyarrow": pa.__version__},
    }
    write_json(folder / PROVENANCE, provenance, indent=2)
