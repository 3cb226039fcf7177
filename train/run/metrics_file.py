"""Reads metrics.jsonl, a run's rows of metrics: a line is a row, or the reason why it is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from embeddings.errors import InputError
from embeddings.files.json_file import parse_json
from embeddings.validation import Count, validated

METRICS = "metrics.jsonl"
LOST = "lost"  # kind of a row that stands for one that was there
_MOST_BYTES = 1 << 20  # of a line, far above any that a run writes


class _Row(BaseModel):
    """What every row has. The others are the metrics, by name; null where one is not defined."""

    model_config = ConfigDict(extra="allow", strict=True)  # what is checked is the plain data, which goes on as it is
    __pydantic_extra__: dict[str, float | str | None]  # type: ignore[mutable-override]  # how pydantic has it

    kind: str
    step: Count
    epoch: Count | None = None


def read_lines(path: Path) -> Iterator[dict[str, Any] | InputError]:
    """Each row of the file ``path``, in its order; none where there is no file. Empty lines are passed over.

    A line that is no row, such as the last one of a run that was killed, is yielded as the InputError that says so.
    Raises OSError where the file cannot be read.
    """
    if not path.exists():
        return
    number = 0
    with open(path, "rb") as lines:
        while line := lines.readline(_MOST_BYTES):
            number += 1
            where = f"'{path}', line {number}"
            if len(line) == _MOST_BYTES and not line.endswith(b"\n"):
                while (rest := lines.readline(_MOST_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield InputError(f"{where}: longer than any row")
            elif line.strip():
                yield _row(line, where)


def _row(line: bytes, where: str) -> dict[str, Any] | InputError:
    try:
        row = parse_json(line, where)
        validated(_Row, row, where)
    except InputError as error:
        return error
    return row
