"""What every test shares: one thread a process, the shared data folder, the GPU marker and the slow tests' time box."""

import os
import signal
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Two workers with ranks of their own share two cores. Set before anything imports torch; child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Where no compiler built the native kernels, processes say so once; the tests of their words are about others.
os.environ.setdefault("PYTHONWARNINGS", "ignore:SimTier and attention run as plain torch")
# Tests that a shell started in the background ignore ^C, and child processes inherit that; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public data sets: $TIERWISE_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("TIERWISE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; name their folder in TIERWISE_DATA")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    deadline = os.environ.get("TIERWISE_DEADLINE")  # seconds since 1970
    if deadline and time.time() > float(deadline):
        pytest.skip("the time box is over; run this test by itself")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
