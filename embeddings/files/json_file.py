"""JSON files: one reader, bounded in size and depth, one writer."""

import json
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, first_line
from embeddings.files.atomic_file import atomic_write

MOST_BYTES = 64 << 20  # far above any file that this project writes


def parse_json(text: str | bytes, where: str) -> Any:
    """The plain data in ``text``. NaN and Infinity are read, as Python writes them.

    Args:
        where: what an error calls the text, such as "plan 'plan.json'".

    Raises InputError where it is no JSON, no UTF-8, or nested deeper than the parser goes.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, too many digits
        reason = "nested too deeply" if isinstance(error, RecursionError) else first_line(error)
        raise InputError(f"{where} is not readable JSON: {reason}") from None


def read_json(path: str | Path, what: str, most_bytes: int = MOST_BYTES) -> Any:
    """The plain data in the file ``path``; ``validated`` makes a model of it.

    Args:
        what: what an error calls the file, such as "plan".
        most_bytes: a larger file is refused, unread.

    Raises InputError where it is no readable JSON or too large. A missing file is for the caller to word: OSError.
    """
    where = f"{what} '{path}'"
    if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
        kind = "a folder" if Path(path).is_dir() else "no file"
        raise InputError(f"{where} is {kind}; a JSON file is expected")
    with open(path, "rb") as source:
        text = source.read(most_bytes + 1)
    if len(text) > most_bytes:
        raise InputError(f"{where} has more than {most_bytes >> 10:,} KiB, more than any such file; is it another one?")
    return parse_json(text, where)


def write_json(path: str | Path, value: Any, indent: int | None = 1) -> None:
    """``value`` as JSON and a line's end at ``path``, atomically. Raises OSError."""
    with atomic_write(path) as out:
        out.write(json.dumps(value, indent=indent).encode() + b"\n")
