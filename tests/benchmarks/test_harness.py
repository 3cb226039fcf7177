"""Rows: what is written can be read, medians and ratios are right."""

import json
from pathlib import Path

import pytest

from benchmarks.harness import append, machine, measurement, ratios, read


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

    found = machine()
    assert found["cores"] >= 1 and found["memory_gib"] > 0
    assert platform.node() not in json.dumps(found)


def test_medians_and_ratios():
    contenders = {"ours": measurement([1.0, 9.0, 6.0], ranks=2), "twin_jagged": measurement([3.0])}
    assert contenders["ours"] == {"samples": [1.0, 9.0, 6.0], "median": 6.0, "ranks": 2}
    assert ratios(contenders, "ours") == {"twin_jagged": pytest.approx(2.0)}
