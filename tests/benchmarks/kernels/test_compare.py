"""Every case of the kernels' benchmark runs, and memory is seen."""

import json

import pytest
import torch

from benchmarks.kernels import cases
from benchmarks.kernels.compare import extra_bytes, run_cases
from embeddings.kernels import native

needs_native = pytest.mark.skipif(native.unavailable_reason() is not None, reason="the native kernels are not built")


@needs_native
def test_every_case_runs(monkeypatch, capsys) -> None:
    small = {"ROWS": 300, "TARGETS": 6, "LENGTHS": (4,), "HIDDEN": (5,), "MAKE_LENGTH": 9}
    for name, value in (
        small | {"CANDIDATES": 40, "SHARED_LENGTH": 30, "SA_TA_LENGTHS": (5,), "DIN_SHAPES": ((7, 3),)}
    ).items():
        monkeypatch.setattr(cases, name, value)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    threads = torch.get_num_threads()
    run_cases("default", 2, "all")
    torch.set_num_threads(threads)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["case"] for row in rows] == ["simtier", "make", *["shared"] * 3, *["sa_ta"] * 2, "din"]
    for row in rows:
        for name, measured in row["contenders"].items():
            assert len(measured["samples_us"]) == 2 and measured["median_us"] > 0, name
    assert {"eager", "one-hot", "fbgemm", "compiled", "ours int8", "limit float32"} <= set(rows[0]["contenders"])


def test_extra_memory_is_what_a_call_holds_at_its_peak() -> None:
    def hold() -> None:
        torch.ones(64 << 18)  # 64 MiB

    held = extra_bytes(hold)
    if held is None:
        pytest.skip("the kernel does not let a process reset its peak")
    assert 60 << 20 <= held <= 80 << 20
    assert extra_bytes(lambda: None) < 4 << 20
