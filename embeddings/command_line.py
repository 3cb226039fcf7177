"""Command lines: commands imported where they run, checked options, NAME=VALUE, errors as a line and an exit status."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from embeddings.errors import DISK_FULL, FIXABLE, InputError, for_terminal, nearest, shown


class LazyCommands(click.Group):
    """A group whose commands are imported only when they run.

    Args:
        lazy: command -> (module, one-line help). The module has a click command named ``command``.
    """

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._lazy:
            return None
        return importlib.import_module(self._lazy[name][0]).command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._lazy:
            ctx.fail(f"no command '{args[0]}'{nearest(args[0], self._lazy)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])


class CheckedText(click.ParamType):
    """Text that a function returns as it is to be used, or refuses as an InputError, which then names the option."""

    name = "text"

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        try:
            return self._check(str(value))
        except InputError as error:
            raise InputError(f"{parameter.opts[0]} {error}" if parameter else str(error)) from None


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


def exit_status(command: click.Command, name: str, prefix: str = "") -> int:
    """Run ``command`` under the program's ``name`` and return its exit status: 2 for bad input, else the command's own.

    Args:
        prefix: begins each error, such as a rank's name.

    What nobody can cause keeps its traceback; KeyboardInterrupt and click.Abort are the caller's.
    """
    try:
        return command.main(prog_name=name, standalone_mode=False) or 0
    except click.UsageError as error:
        error.show()
    except InputError as error:
        print(f"{prefix}error: {for_terminal(str(error))}", file=sys.stderr, flush=True)
        return error.status
    except OSError as error:
        if error.errno not in FIXABLE:
            raise
        print(f"{prefix}error: {_refused(error)}", file=sys.stderr, flush=True)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        wrong = f"{shown(error.object)} is not UTF-8, which names of files and folders must be here"
        print(f"{prefix}error: {wrong}; rename it, or call it by another path", file=sys.stderr, flush=True)
    return 2


def _refused(error: OSError) -> str:
    """What the system refused, of which file, and what to do."""
    place = f" '{error.filename}'" if error.filename else ""
    step = "free some space" if error.errno in DISK_FULL else "check the place and its permissions"
    return f"{(error.strerror or str(error)).lower()}{place and ':' + place}; {step}, then run again"
