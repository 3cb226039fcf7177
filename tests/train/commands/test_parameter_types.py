"""Options that become paths: refused with the option's name before anything is read, in every command that has one."""

import click
import pytest

from embeddings.errors import InputError
from tests.train.launch import cli, one_line
from train.commands.parameter_types import named_values

REST = {
    "predict": ("runs/no",),
    "prepare": ("shop", "--rows", "1000"),
    "store": ("build", "--parquet", "none.parquet"),
    "encode": ("raw-pixels", "--items", "none", "--column", "x"),
    "plan": ("--config", "none.yaml", "--world-size", "2"),
    "report": ("runs/no",),
    "export": ("runs/no",),
}


@pytest.mark.parametrize("command", REST)
def test_an_output_is_checked_before_the_work(tmp_path, command):
    file = tmp_path / "file"
    file.write_text("")
    one_line(cli(command, *REST[command], "--out", file / "x"), "error: --out '", f"as '{file}' is a file")
    if command != "plan":
        one_line(cli(command, *REST[command], "--out", file), f"error: --out '{file}' is a file; name a folder")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_page_of_markdown_is_an_output_too(tmp_path):
    one_line(cli("report", "runs/no", "--markdown", f"{tmp_path}/"), "error: --markdown '", "is a folder; name a file")


@pytest.mark.parametrize("command", ["evaluate", "predict", "report", "collisions"])
@pytest.mark.parametrize("split", ["test2/day1", "../tag/days", "/days", "", ".."])
def test_a_split_is_a_name(tmp_path, command, split):
    rest = {"predict": ("runs/no", "--out", tmp_path / "x"), "collisions": ("--config", "none.yaml")}
    done = cli(command, *rest.get(command, ("runs/no",)), "--split", split)
    one_line(done, f"error: --split '{split}' cannot name a file or folder", "allowed: one name without '/'")


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
