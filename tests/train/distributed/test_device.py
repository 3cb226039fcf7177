"""The device and the dtype that a run computes in, by their settings."""

import pytest
import torch

from train.distributed.device import autocast_dtype, choose_device


@pytest.mark.parametrize(
    ("wanted", "device", "dtype"),
    [("off", "cpu", None), ("auto", "cpu", None), ("bfloat16", "cpu", torch.bfloat16),
     ("off", "cuda", None), ("auto", "cuda", torch.bfloat16), ("bfloat16", "cuda", torch.bfloat16)],
)  # fmt: skip
def test_autocast_by_device(wanted, device, dtype):
    assert autocast_dtype(wanted, torch.device(device)) is dtype


@pytest.mark.parametrize(("wanted", "kind"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_a_device_that_is_there_is_taken_unless_the_cpu_is_wanted(monkeypatch, wanted, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert choose_device(wanted, 1, 2) == torch.device(*((kind, 1) if kind == "cuda" else (kind,)))
