"""Which implementations a test can run on a device, and on how many threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from embeddings.kernels.registry import IMPLEMENTATIONS, unavailable_reason

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def require(name: str, device: str = "cpu") -> None:
    """Skip the test where implementation ``name`` cannot run on ``device``."""
    if (reason := _reason(name, device)) is not None:
        pytest.skip(f"{name}: {reason}")


def runnable(op: str) -> dict[str, Callable[..., Any]]:
    """The implementations of ``op`` that run on CPU."""
    return {name: call for name, call in IMPLEMENTATIONS[op].items() if _reason(name, "cpu") is None}


def _reason(name: str, device: str) -> str | None:
    if name == "triton" and device == "cpu":
        return "its interpreter has tests of its own"
    return unavailable_reason(name, torch.device(device))


@contextmanager
def threads(number: int) -> Iterator[None]:
    """``number`` threads for torch's kernels, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
