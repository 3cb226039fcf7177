"""Options that become paths: refused with the option's name before anything is read, in every command that has one."""

import pytest

from tests.train.launch import cli, one_line

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
