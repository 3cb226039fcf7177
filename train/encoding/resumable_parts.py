"""Resumable encoding: finished parts in a folder beside the store, which are not encoded again after a kill."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from embeddings.errors import InputError, first_line
from embeddings.files.atomic_file import atomic_write
from embeddings.files.json_file import parse_json, read_json, write_json
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import DataFile, read_footer
from embeddings.validation import Strict, validated

ID, VECTOR, NORM = "item", "vector", "norm"
_ROWS = 1 << 20  # norms read at once
NAMED = 5  # left-out items that a part names


@dataclass(frozen=True)
class Part:
    """The encoded items of a part.

    ids      [n]     int64
    vectors  [n, M]  float32, not yet normalised
    left_out         how many items have no vector
    reasons          "item 7: why" of the first few of them
    """

    ids: np.ndarray
    vectors: np.ndarray
    left_out: int
    reasons: list[str]


class PartsFolder:
    """``.STORE.parts`` beside the store; ``plan`` says of what it holds parts."""

    def __init__(self, store: str) -> None:
        place = Path(os.path.abspath(store))
        self.path = place.with_name(f".{place.name}.parts")

    def begin(self, plan: dict, *, overwrite: bool) -> None:
        """Make the folder, or go on with the one that is there.

        Raises InputError where it holds parts of another plan, without ``overwrite``, or cannot be made.
        """
        file = self.path / "plan.json"
        try:
            old = read_json(file, "plan of parts") if file.is_file() else None
        except (OSError, InputError) as error:
            raise self._unusable(error) from error
        if old is not None and old != plan and not overwrite:
            differs = ", ".join(key for key in plan if not isinstance(old, dict) or old.get(key) != plan[key])
            raise InputError(
                f"'{self.path}' holds parts of another encoding (other: {differs}); repeat the command that began it, "
                "or pass --overwrite to drop them"
            )
        try:
            if old is not None and old != plan:
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(file, plan)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> InputError:
        return InputError(f"cannot use '{self.path}' ({first_line(error)}); delete it or choose another --out")

    def missing(self, parts: int) -> list[int]:
        """The numbers of parts that are not there yet."""
        return [part for part in range(parts) if not self._file(part).is_file()]

    def write(self, number: int, part: Part) -> None:
        """Write part ``number`` atomically: a part that is there is whole."""
        width = part.vectors.shape[1]
        flat = pa.array(np.ascontiguousarray(part.vectors).reshape(-1))
        table = pa.table(
            {
                ID: pa.array(part.ids),
                VECTOR: pa.FixedSizeListArray.from_arrays(flat, width),
                NORM: pa.array(np.linalg.norm(part.vectors.astype(np.float64), axis=1)),
            }
        )
        about = {"left_out": str(part.left_out), "reasons": json.dumps(part.reasons)}
        with atomic_write(self._file(number)) as out:
            pq.write_table(table.replace_schema_metadata(about), out, compression="none", write_page_checksum=True)

    def norms(self) -> np.ndarray:
        """The norm of every vector before it is normalised: [n] float64."""
        batches = (batch for file in self._files() for _, batch in read_batches(file, [NORM], _ROWS))
        return np.concatenate([np.zeros(0), *(batch.column(0).to_numpy() for batch in batches)])

    def left_out(self) -> tuple[int, list[str]]:
        """How many items have no vector, and why the first few have none."""
        abouts = [_about(file) for file in self._files()]
        reasons = [reason for about in abouts for reason in about.reasons]
        return sum(about.left_out for about in abouts), reasons[:NAMED]

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _file(self, part: int) -> Path:
        return self.path / f"part-{part:06d}.parquet"

    def _files(self) -> list[DataFile]:
        return [read_footer(path) for path in sorted(self.path.glob("part-*.parquet"))]


class _About(Strict):
    left_out: Annotated[int, Field(ge=0)]
    reasons: list[str]


def _about(file: DataFile) -> _About:
    """What a part says of itself. Raises InputError."""
    where, written = f"part '{file.path}'", file.columns.metadata or {}
    about = {key: parse_json(written.get(key.encode(), b"null"), where) for key in _About.model_fields}
    return validated(_About, about, where)
