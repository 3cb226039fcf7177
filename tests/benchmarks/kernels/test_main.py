"""The kernels' benchmark: peers give the right answer, cases run, memory is seen."""

import json

import pytest
import torch

from benchmarks.kernels import __main__ as kernels
from benchmarks.kernels import peers
from embeddings.frozen.table import FrozenTable
from embeddings.kernels import native
from embeddings.kernels.registry import IMPLEMENTATIONS

needs_native = pytest.mark.skipif(native.unavailable_reason() is not None, reason="the native kernels are not built")


def make_data(targets: int = 7, length: int = 11) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    table = torch.nn.functional.normalize(torch.randn(60, 16, generator=draw), dim=1)
    target, history = (torch.randint(0, 60, shape, generator=draw) for shape in ((targets,), (targets, length)))
    return table, target, history, torch.arange(targets + 1) * length


@pytest.mark.parametrize("name", ["simtier_eager", "simtier_onehot", "simtier_fbgemm"])
def test_simtiers_peers_count_right(name: str) -> None:
    table, target, history, offsets = make_data()
    wanted = IMPLEMENTATIONS["simtier"]["reference"](table, None, target, history.view(-1), offsets, None, 13)
    assert torch.equal(getattr(peers, name)(table, target, history, 13), wanted)


@pytest.mark.parametrize("name", ["make_eager", "make_fbgemm"])
def test_makes_peers_attend_right(name: str) -> None:
    table, target, history, offsets = make_data()
    draw = torch.Generator().manual_seed(1)
    parameters = [torch.randn(s, generator=draw) for s in ((5, 64), (5,), (5,), (5,))]
    wanted = IMPLEMENTATIONS["make_attention"]["reference"](
        table, None, target, history.view(-1), offsets, None, *parameters
    )
    torch.testing.assert_close(getattr(peers, name)(table, target, history, *parameters), wanted, rtol=1e-4, atol=1e-4)


@needs_native
def test_every_case_runs_and_checks_its_contenders(monkeypatch, capsys) -> None:
    small = {"ROWS": 300, "TARGETS": 6, "LENGTHS": (4,), "HIDDEN": (5,), "MAKE_LENGTH": 9}
    for name, value in (small | {"CANDIDATES": 40, "SHARED_LENGTH": 30, "SA_TA_LENGTHS": (5,)}).items():
        monkeypatch.setattr(kernels, name, value)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    threads = torch.get_num_threads()
    kernels.run_cases("default", 2, "all")
    torch.set_num_threads(threads)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["case"] for row in rows] == ["simtier", "make", "shared", "shared", "shared", "sa_ta", "sa_ta"]
    for row in rows:
        for name, found in row["contenders"].items():
            assert len(found["samples_us"]) == 2 and found["median_us"] > 0, name
    assert {"eager", "one-hot", "fbgemm", "compiled", "ours int8", "limit float32"} <= set(rows[0]["contenders"])


@needs_native
def test_cosines_of_another_pass_are_compared(monkeypatch) -> None:
    for name, value in {"ROWS": 300, "TARGETS": 6}.items():
        monkeypatch.setattr(kernels, name, value)
    data = kernels.Data()
    right = FrozenTable.cosines
    monkeypatch.setattr(FrozenTable, "cosines", lambda *a: right(*a).clamp(max=0))
    with pytest.raises(AssertionError, match="two passes"):
        kernels.sa_ta_case(data, 4, "int8")


@needs_native
def test_a_wrong_contender_is_not_timed(monkeypatch) -> None:
    for name, value in {"ROWS": 300, "TARGETS": 6}.items():
        monkeypatch.setattr(kernels, name, value)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(peers, "simtier_onehot", lambda *a: peers.simtier_eager(*a).flip(1))
    with pytest.raises(AssertionError, match="one-hot"):
        kernels.simtier_case(kernels.Data(), 4)


def test_extra_memory_is_what_a_call_holds_at_its_peak() -> None:
    def hold() -> None:
        torch.ones(64 << 18)  # 64 MiB

    found = kernels.extra_bytes(hold)
    if found is None:
        pytest.skip("the kernel does not let a process reset its peak")
    assert 60 << 20 <= found <= 80 << 20
    assert kernels.extra_bytes(lambda: None) < 4 << 20
