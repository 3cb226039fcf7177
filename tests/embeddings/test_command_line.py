"""Errors of a command line: one line, and an exit status."""

import errno

import click
import pytest

from embeddings.command_line import LazyCommands, exit_status, named_values
from embeddings.errors import InputError, LostRank


def failing(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a\nb"), 2, "x: error: a\nb\n"),
        (LostRank("gone"), 75, "x: error: gone\n"),
        (OSError(errno.ENOSPC, "Full", "f"), 2, "x: error: full: 'f'; free some space, then run again\n"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"), 2,
         "x: error: 'a\\udcff' is not UTF-8, which names of files and folders must be here; rename it, or call it by "
         "another path\n"),
    ],
)  # fmt: skip
def test_what_a_user_can_cause_is_one_line(capsys, monkeypatch, error, status, said):
    monkeypatch.setattr("sys.argv", ["x"])
    assert exit_status(failing(error), "x", "x: ") == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "no"), ValueError("ours"), click.Abort()])
def test_what_nobody_can_cause_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr("sys.argv", ["x"])
    with pytest.raises(type(error)):
        exit_status(failing(error), "x")


def test_a_command_is_imported_where_it_runs(monkeypatch, capsys):
    group = LazyCommands(name="g", lazy={"good": ("no.such.module", "Does good.")})
    monkeypatch.setattr("sys.argv", ["g", "--help"])
    assert exit_status(group, "g") == 0 and "Does good." in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["g", "goood"])
    assert exit_status(group, "g") == 2 and "did you mean 'good'?" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["g", "good"])
    with pytest.raises(ModuleNotFoundError):
        exit_status(group, "g")


def test_named_values():
    kind = click.Choice(["int8", "float16"])
    assert named_values("--table", ("a=int8", "b=float16"), kind) == {"a": "int8", "b": "float16"}
    for given, words in (
        (("a",), "--table 'a' is not of the form NAME=VALUE"),
        (("=int8",), "--table '=int8' is not of the form NAME=VALUE"),
        (("a=",), "--table 'a=' is not of the form NAME=VALUE"),
        (("a=int8", "a=int8"), "--table names 'a' twice; keep one"),
        (("a=int9",), "--table 'a=int9': 'int9' is not one of 'int8', 'float16'"),
    ):
        with pytest.raises(InputError, match=words):
            named_values("--table", given, kind)
