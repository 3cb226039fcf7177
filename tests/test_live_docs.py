"""docs/live.md: its example runs, and the commands that it names are there."""

import re

import click

from serve.commands.index import command
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "live.md").read_text()


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"(?m)^```python\n([\s\S]*?)^```$", TEXT)
    names: dict = {}
    exec(example, names)
    assert (
        names["rows"][0] >= 0 and names["rows"][1] == -1 and abs((names["vector"].astype(float) ** 2).sum() - 1) < 0.01
    )
    names["index"].close()


def test_the_commands_are_there():
    named = set(re.findall(r"python -m serve index (\w+)", TEXT))
    assert named and named <= set(command.commands)
    for text in re.findall(r"(?m)^    python -m serve index (.*)$", TEXT):
        name, *arguments = text.split()
        options = {option for parameter in command.commands[name].params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= options
    assert isinstance(command, click.Group)
