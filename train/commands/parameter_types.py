"""Types of command-line options that are paths, or become such: checked before any work, ~ filled in everywhere."""

from collections.abc import Callable
from typing import Any

import click

from embeddings.errors import InputError, shown
from embeddings.files.file_name import file_name
from embeddings.files.local_path import local_path, with_home
from embeddings.files.output_path import output_file, output_folder, output_place


class _Checked(click.ParamType):
    """Text that a function returns as it is to be used, or refuses as an InputError, which then names the option."""

    name = "text"

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        try:
            return self._check(str(value))
        except InputError as error:
            raise InputError(f"{parameter.opts[0]} {error}" if parameter else str(error)) from None


def _store(path: str) -> str:
    return path if "://" in path else output_folder(with_home(path))  # addresses are iopath's


SPLIT = _Checked(file_name)
INPUT = _Checked(local_path)
INPUT_STORE = _Checked(with_home)
OUTPUT_FILE = _Checked(lambda path: output_file(local_path(path)))
OUTPUT_FOLDER = _Checked(lambda path: output_folder(local_path(path)))  # one that appears as a whole
OUTPUT_STORE = _Checked(_store)
OUTPUT_PLACE = _Checked(lambda path: output_place(local_path(path)))  # a folder that files are put into


def named_values(option: str, given: tuple[str, ...], kind: click.ParamType) -> dict[str, str]:
    """NAME=VALUE as often as ``option`` was given: NAME -> VALUE as ``kind`` takes it. Raises InputError."""
    result: dict[str, str] = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name or not value:
            raise InputError(f"{option} {shown(text)} is not of the form NAME=VALUE")
        if name in result:
            raise InputError(f"{option} names {shown(name)} twice; keep one")
        try:
            result[name] = kind.convert(value, None, None)
        except (InputError, click.BadParameter) as error:
            raise InputError(f"{option} {shown(text)}: {error}") from None
    return result
