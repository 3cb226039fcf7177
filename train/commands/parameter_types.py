"""Types of command-line options that become paths: names of splits, and outputs, which are checked before any work."""

from collections.abc import Callable
from typing import Any

import click

from embeddings.errors import InputError
from embeddings.file_name import file_name
from embeddings.output_path import output_file, output_folder, output_place


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
    return path if "://" in path else output_folder(path)  # addresses are iopath's


SPLIT = _Checked(file_name)
OUTPUT_FILE = _Checked(output_file)
OUTPUT_FOLDER = _Checked(output_folder)  # one that appears as a whole
OUTPUT_STORE = _Checked(_store)
OUTPUT_PLACE = _Checked(output_place)  # a folder that files are put into
