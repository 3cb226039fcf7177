"""Contenders of the kernels' benchmark are checked before they are timed."""

import pytest
import torch

from benchmarks.kernels import cases, peers
from embeddings.frozen.table import FrozenTable
from embeddings.kernels import native

needs_native = pytest.mark.skipif(native.unavailable_reason() is not None, reason="the native kernels are not built")


@needs_native
def test_cosines_of_another_pass_are_compared(monkeypatch) -> None:
    for name, value in {"ROWS": 300, "TARGETS": 6}.items():
        monkeypatch.setattr(cases, name, value)
    data = cases.Data()
    right = FrozenTable.cosines
    monkeypatch.setattr(FrozenTable, "cosines", lambda *a: right(*a).clamp(max=0))
    with pytest.raises(AssertionError, match="two passes"):
        cases.sa_ta_case(data, 4, "int8")


@needs_native
def test_a_wrong_contender_is_not_timed(monkeypatch) -> None:
    for name, value in {"ROWS": 300, "TARGETS": 6}.items():
        monkeypatch.setattr(cases, name, value)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(peers, "simtier_onehot", lambda *a: peers.simtier_eager(*a).flip(1))
    with pytest.raises(AssertionError, match="one-hot"):
        cases.simtier_case(cases.Data(), 4)


@needs_native
def test_a_wrong_attention_is_not_timed(monkeypatch) -> None:
    for name, value in {"ROWS": 300, "TARGETS": 6}.items():
        monkeypatch.setattr(cases, name, value)
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda *a: function(*a) * 1.001)
    with pytest.raises(AssertionError, match="compiled"):
        cases.din_case(cases.Data(), 7, 3)
