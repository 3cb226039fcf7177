"""The index command: each of its subcommands, and what it refuses, in one line."""

import json

import click
import numpy as np
import pytest

from embeddings.command_line import exit_status
from serve.commands.index import command


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command and returns status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["index", *map(str, arguments)])
        status = exit_status(command, "index")
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "ids.npy", np.arange(-2, 3))
    np.save(tmp_path / "vectors.npy", np.eye(5, 3) + 1)
    return tmp_path


def test_from_nothing_to_a_snapshot(run, files):
    index, ids, vectors = files / "index", files / "ids.npy", files / "vectors.npy"
    assert run("create", index, "--encoder", "a", "--width", 3)[:2] == (0, f"{index}: encoder 'a', 0 vectors\n")
    assert run("put", index, "--ids", ids, "--vectors", vectors)[:2] == (0, f"{index}: 5 vectors put, sequence 1\n")
    assert run("delete", index, -2, 9)[:2] == (0, f"{index}: 1 of 2 ids deleted\n")
    status, out, _ = run("get", index, -2, -1, 2**63 - 1)
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [line["id"] for line in lines] == [-2, -1, 2**63 - 1]
    assert lines[0]["vector"] is lines[2]["vector"] is None
    assert np.allclose(lines[1]["vector"], np.array([1, 2, 1]) / 6**0.5, atol=1e-3)
    (about,) = json.loads(run("stats", index)[1])["encoders"]
    assert about["encoder"] == "a" and about["active"] and (about["ids"], about["rows"], about["dead"]) == (4, 5, 0.2)
    assert run("compact", index)[:2] == (0, f"{index}: 1 segments removed\n")
    assert run("verify", index)[:2] == (0, f"{index}: 4 vectors of encoder 'a', CRCs agree, every row has norm 1\n")
    assert run("snapshot", index, "--out", files / "store")[0] == 0
    assert run("create", files / "copy", "--store", files / "store")[1] == f"{files / 'copy'}: encoder 'a', 4 vectors\n"
    assert run("put", index, "--store", files / "store")[1] == f"{index}: 4 vectors put, sequence 5\n"


def test_encoders(run, files):
    index = files / "index"
    run("create", index, "--encoder", "a", "--width", 3)
    assert run("create", index, "--encoder", "b", "--width", 2, "--dtype", "int8")[0] == 0
    assert run("activate", index, "--encoder", "b")[0] == 0
    assert [one["active"] for one in json.loads(run("stats", index)[1])["encoders"]] == [False, True]
    assert "active one; activate another first" in run("drop", index, "--encoder", "b")[2]
    assert run("drop", index, "--encoder", "a")[0] == 0
    assert len(json.loads(run("stats", index)[1])["encoders"]) == 1
    (files / "one").mkdir()
    run("create", files / "other", "--encoder", "c", "--width", 2)
    np.save(files / "two.npy", np.eye(5, 2) + 1)
    run("put", files / "other", "--ids", files / "ids.npy", "--vectors", files / "two.npy")
    run("snapshot", files / "other", "--out", files / "store")
    for arguments in (("put", index), ("create", index)):
        status, _, error = run(*arguments, "--store", files / "store", "--encoder", "b")
        assert status == 2 and "is of encoder 'c'; vectors of two encoders do not mix" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "INDEX", "--encoder", "b"), "--encoder and --width are needed"),
        (("create", "INDEX", "--encoder", "a", "--width", 3), "has vectors of encoder 'a' already"),
        (("put", "INDEX", "--ids", "IDS"), "give either --store, or both --ids and --vectors"),
        (("put", "INDEX", "--ids", "IDS", "--vectors", "IDS"), "vectors are int64 [5]"),
        (("put", "INDEX", "--ids", "IDS", "--vectors", "NONE"), "does not exist"),
        (("delete", "INDEX"), "give either IDS, or --ids"),
        (("delete", "INDEX", 2**64), "does not fit int64"),
        (("get", "INDEX", "--ids", "VECTORS"), "ids are float64"),
        (("get", "NONE", 1), "no live index at"),
        (("get", "INDEX", 1, "--encoder", "z"), "no vectors of encoder 'z'"),
        (("stats", "s3://bucket/index"), "is a URL"),
        (("snapshot", "INDEX", "--out", "STORE"), "holds no vectors"),
    ],
)
def test_what_is_refused(run, files, arguments, message):
    run("create", files / "index", "--encoder", "a", "--width", 3)
    names = {"INDEX": "index", "IDS": "ids.npy", "VECTORS": "vectors.npy", "NONE": "none", "STORE": "store"}
    status, _, error = run(*(files / names[a] if a in names else a for a in arguments))
    assert status == 2 and message in error and "Traceback" not in error


def test_help_of_every_subcommand(run):
    for name in command.list_commands(click.Context(command)):
        assert run(name, "--help")[0] == 0
