"""The comparison of planned and measured memory and step times."""

from collections.abc import Sequence

import pytest

from benchmarks.planner import compare
from benchmarks.planner.cases import Case
from benchmarks.planner.runs import plan_case
from embeddings.planner.hardware import load_hardware

HOST = load_hardware("cpu-host")


def test_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a machine that does what the planner says, memory is right and so is every pair."""
    plans: list = []

    def train(cases: Sequence[Case], given: Sequence) -> list:
        plans[:] = given
        measured = []
        for case in cases:
            _, best = plan_case(case, HOST)
            held = [float(b) + HOST.process_gib * 2**30 for b in best.device_bytes]
            measured.append([{"step_ms": best.step_ms, "bytes": b, "peak_bytes": 1.25 * b} for b in held])
        return measured

    monkeypatch.setattr(compare, "train", train)
    row = compare.compare_memory(HOST)
    assert row["worst_error"] == pytest.approx(0.2, abs=1e-3)
    speed = compare.compare_speed(HOST, 2)
    assert speed["share"] == 1.0 and speed["pairs"] == speed["right"] >= 40
