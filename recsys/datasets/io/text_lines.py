"""Reads the text tables of raw data sets line by line; what is wrong with a line names file and line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from embeddings.errors import InputError


def separated(path: Path, separator: str, fields: int, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line of a file without a header or quotes. Raises InputError."""
    for line, text in enumerate(_read(path, encoding), start=1):
        row = text.split(separator)
        if len(row) != fields:
            raise wrong_line(path, line, f"{len(row)} fields in {_short(text)}", f"{fields} between {separator!r}")
        yield line, row


def headed(path: Path, header: Sequence[str], encoding: str = "utf-8") -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line of a CSV file below its ``header``. Raises InputError.

    Every line is read by itself, so that a quote left open ends with it.
    """
    for line, text in enumerate(_read(path, encoding), start=1):
        try:
            row = next(csv.reader([text], strict=True), [])
        except csv.Error:
            row = []
        if line == 1 and row != list(header):
            raise wrong_line(path, line, f"the header is {_short(text)}", repr(",".join(header)))
        if len(row) != len(header):
            raise wrong_line(path, line, f"no {len(header)} fields in {_short(text)}", ",".join(header))
        if line > 1:
            yield line, row


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
    return InputError(f"'{path}' line {line}: {got}; allowed: {allowed}; fix the line or get the file again")


def _read(path: Path, encoding: str) -> list[str]:
    try:
        text = path.read_bytes().decode(encoding)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); --source is the folder of this file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not {encoding} at byte {error.start}; get the file again") from error
    if not text.strip():
        raise InputError(f"'{path}' is empty; get the file again")
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
