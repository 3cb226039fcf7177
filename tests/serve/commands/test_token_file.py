"""A token from a file, for the commands that have one: what is no token is refused, and never shown."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from embeddings.errors import InputError
from serve.commands import ask, score
from serve.commands.token_file import read_token

COMMANDS = {"score": (score.command, "--model", "models/shop"), "ask": (ask.command, "--url", "http://127.0.0.1:9")}


def test_the_white_space_around_it_is_none_of_it(tmp_path: Path):
    (tmp_path / "token").write_text("  sixteen-letters-or-more\n")
    assert read_token(str(tmp_path / "token")) == "sixteen-letters-or-more" and read_token(None) is None


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"sixteen letters \xff", "sixteen-l\u00e9tters-or-more".encode(), b"a" * 20 + b"\n" + b"b" * 20,
     b"sixteen" * 1000],
)  # fmt: skip
def test_a_token_that_is_none(tmp_path: Path, command, content):
    (tmp_path / "token").write_bytes(content)
    run, *options = COMMANDS[command]
    error = CliRunner().invoke(run, [*options, "--token-file", str(tmp_path / "token")]).exception
    assert isinstance(error, InputError) and "--token-file" in str(error) and "\n" not in str(error)
    assert "sixteen" not in str(error)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_none(tmp_path: Path, command):
    run, *options = COMMANDS[command]
    error = CliRunner().invoke(run, [*options, "--token-file", str(tmp_path / "none")]).exception
    assert isinstance(error, InputError) and "cannot be read" in str(error)
