"""Faults: where more failed than the fault itself cut off, there is no row."""

import pytest

from benchmarks.harness import read
from benchmarks.serving import faults
from embeddings.errors import InputError


def test_a_fault_that_cost_more_than_it_may_leaves_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "build_model", lambda folder: str(folder))
    found = {"fault": "a worker is killed", "failed": 1, "cut_off": 1}
    monkeypatch.setattr(faults, "_killed", lambda *_: found)
    monkeypatch.setattr(faults, "_spoilt", lambda *_: {**found, "fault": "a version is spoilt", "cut_off": 0})
    monkeypatch.setattr(faults, "_full", lambda *_: pytest.fail("it went on"))
    with pytest.raises(InputError, match="a version is spoilt: 1 requests failed, and 0 may"):
        faults.measure(tmp_path, 2, 1.0, tmp_path)
    assert [row["fault"] for row in read("serving", tmp_path)] == ["a worker is killed"]
