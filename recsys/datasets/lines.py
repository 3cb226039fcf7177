"""Reads the text tables of raw data sets line by line; what is wrong with a line names file and line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from embeddings.errors import InputError


def separated(path: Path, separator: str, fields: int, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line of a file without a header or quotes. Raises InputError."""
    for number, line in enumerate(_read(path, encoding).splitlines(), start=1):
        row = line.split(separator)
        if len(row) != fields:
            raise wrong_line(path, number, f"{len(row)} fields between {separator!r} in {_short(line)}", f"{fields}")
        yield number, row


def headed(path: Path, header: Sequence[str], encoding: str = "utf-8") -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line of a CSV file below its ``header``. Raises InputError."""
    reader = csv.reader(_read(path, encoding).splitlines())
    first = next(reader, [])
    if first != list(header):
        raise wrong_line(path, 1, f"the header is {','.join(first)!r}", ",".join(header))
    for row in reader:
        if len(row) != len(header):
            shown = _short(",".join(row))
            raise wrong_line(path, reader.line_num, f"{len(row)} fields in {shown}", ",".join(header))
        yield reader.line_num, row


def number(path: Path, line: int, name: str, text: str, low: float, high: float, *, whole: bool = True) -> float:
    """``text`` as a number from ``low`` to ``high``, an int where ``whole``. Raises InputError naming the line."""
    try:
        value = int(text) if whole else float(text)
        if low <= value <= high:
            return value
    except ValueError:
        pass
    kind = "whole numbers" if whole else "numbers"
    raise wrong_line(path, line, f"{name} is {_short(text)}", f"{kind} from {low} to {high}")


def wrong_line(path: Path, line: int, got: str, allowed: str) -> InputError:
    """The error for a line that cannot be used."""
    return InputError(f"'{path}' line {line}: {got}; allowed: {allowed}; mend the line or get the file again")


def _read(path: Path, encoding: str) -> str:
    try:
        text = path.read_bytes().decode(encoding)
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read ({error.strerror}); --source is the folder of this file"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not {encoding} at byte {error.start}; get the file again") from error
    if not text.strip():
        raise InputError(f"'{path}' is empty; get the file again")
    return text.replace("\r\n", "\n")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
