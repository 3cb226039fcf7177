"""Resumable encoding: finished parts in a folder beside the store, which are not encoded again after a kill."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.atomic_file import atomic_write
from embeddings.errors import InputError, first_line
from embeddings.json_file import write_json

ID, VECTOR, NORM = "item", "vector", "norm"
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
            old = json.loads(file.read_text()) if file.is_file() else None
            if old is not None and old != plan:
                differs = ", ".join(key for key in plan if old.get(key) != plan[key])
                if not overwrite:
                    raise InputError(
                        f"'{self.path}' holds parts of another encoding (other: {differs}); repeat the command that "
                        "began it, or pass --overwrite to drop them"
                    )
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(file, plan)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"cannot use '{self.path}' ({first_line(error)}); delete it or choose another --out"
            ) from error

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
            pq.write_table(table.replace_schema_metadata(about), out, compression="none")

    def norms(self) -> np.ndarray:
        """The norm of every vector before it is normalised: [n] float64."""
        return np.concatenate([pq.read_table(f, columns=[NORM])[NORM].to_numpy() for f in self._files()])

    def left_out(self) -> tuple[int, list[str]]:
        """How many items have no vector, and why the first few have none."""
        abouts = [pq.read_schema(f).metadata for f in self._files()]
        reasons = [reason for about in abouts for reason in json.loads(about[b"reasons"])]
        return sum(int(about[b"left_out"]) for about in abouts), reasons[:NAMED]

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _file(self, part: int) -> Path:
        return self.path / f"part-{part:06d}.parquet"

    def _files(self) -> Iterator[Path]:
        yield from sorted(self.path.glob("part-*.parquet"))
