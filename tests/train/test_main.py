"""The command line: commands, exit statuses and one-line errors."""

import io
import sys

import click
import pytest

from embeddings.errors import InputError
from train import __main__ as cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    return cli.run()


def raising(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


@pytest.fixture
def replace_check(monkeypatch: pytest.MonkeyPatch):
    """Put a command behind the command ``check``."""

    def put(command: click.Command) -> None:
        monkeypatch.setattr("train.commands.check.command", command)

    return put


def test_help_lists_every_command(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in cli.COMMANDS)


def test_unknown_command_names_the_nearest(monkeypatch, capsys):
    assert run(monkeypatch, "chekc") == 2
    assert "no command 'chekc'; did you mean 'check'?" in capsys.readouterr().err


def test_unknown_option_is_a_usage_error(monkeypatch, capsys):
    assert run(monkeypatch, "check", "--confg", "x.yaml") == 2
    assert "No such option" in capsys.readouterr().err


def test_bad_input_is_one_line_and_status_2(monkeypatch, capsys, replace_check):
    replace_check(raising(InputError("what is wrong")))
    assert run(monkeypatch, "check") == 2
    assert capsys.readouterr().err == "error: what is wrong\n"


def test_bad_input_names_the_rank(monkeypatch, capsys, replace_check):
    replace_check(raising(InputError("what is wrong")))
    monkeypatch.setenv("RANK", "3")
    assert run(monkeypatch, "check") == 2
    assert capsys.readouterr().err == "[rank 3] error: what is wrong\n"


def test_a_name_that_is_not_utf_8_is_one_line(monkeypatch, capsys, replace_check):
    @click.command()
    def command() -> None:
        "train/part-\udce9.parquet".encode()

    replace_check(command)
    assert run(monkeypatch, "check") == 2
    assert capsys.readouterr().err == (
        "error: 'train/part-\\udce9.parquet' is not UTF-8, which names of files and folders must be here; "
        "rename it, or call it by another path\n"
    )


@pytest.mark.parametrize(("encoding", "printed"), [("ascii", "m\\xfcd \\udce9\n"), ("utf-8", "m\u00fcd \\udce9\n")])
def test_any_name_is_printed(monkeypatch, replace_check, encoding, printed):
    """Where the locale is C, and where a name is not UTF-8."""

    @click.command()
    def command() -> None:
        print("m\u00fcd \udce9")

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    replace_check(command)
    assert run(monkeypatch, "check") == 0
    assert raw.getvalue().decode(encoding) == printed


def test_interrupt_is_status_130(monkeypatch, capsys, replace_check):
    replace_check(raising(KeyboardInterrupt()))
    assert run(monkeypatch, "check") == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(monkeypatch, replace_check):
    replace_check(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, "check")
