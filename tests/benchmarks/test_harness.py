"""Rows: what is written can be read, medians and ratios are right."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import append, machine, measurement, ratios, read, record, relative, show
from embeddings.errors import InputError


def test_rows_come_back_in_order_with_what_they_were_measured_on(tmp_path: Path):
    for number in range(2):
        append("speed", {"number": number, "flags": ["--x"]}, tmp_path / "results")
    rows = read("speed", tmp_path / "results")
    assert [r["number"] for r in rows] == [0, 1]
    assert rows[0]["benchmark"] == "speed" and rows[0]["flags"] == ["--x"]
    assert {"git", "date", "machine", "versions"} <= rows[0].keys()
    assert "torch" in rows[0]["versions"]
    assert read("nothing", tmp_path) == []


def test_the_machine_is_described_without_its_name():
    import platform

    about = machine()
    assert about["cores"] >= 1 and about["memory_gib"] > 0
    assert platform.node() not in json.dumps(about)


def test_medians_and_ratios():
    contenders = {"ours": measurement([1.0, 9.0, 6.0], ranks=2), "pytorch_jagged": measurement([3.0])}
    assert contenders["ours"] == {"samples": [1.0, 9.0, 6.0], "median": 6.0, "ranks": 2}
    assert ratios(contenders, "ours") == {"pytorch_jagged": pytest.approx(2.0)}
    assert relative(contenders, "pytorch_jagged", "median", places=2) == {"ours": 2.0, "pytorch_jagged": 1.0}
    assert measurement([2.04, 1.0], "_us") == {"samples_us": [2.0, 1.0], "median_us": 1.5}


def test_a_row_is_shown_without_what_it_was_measured_on(tmp_path: Path, capsys):
    show(append("speed", {"number": 1}, tmp_path))
    assert json.loads(capsys.readouterr().out) == {"number": 1}


def test_a_row_of_what_went_wrong_is_printed_and_not_kept(tmp_path: Path, capsys):
    with pytest.raises(InputError, match="3 requests failed; no row was added"):
        record("serving", {"failed": 3}, tmp_path, "3 requests failed")
    assert read("serving", tmp_path) == [] and json.loads(capsys.readouterr().err) == {"failed": 3}
    record("serving", {"failed": 0}, tmp_path)
    assert [row["failed"] for row in read("serving", tmp_path)] == [0]
    assert json.loads(capsys.readouterr().out) == {"failed": 0}
