"""Threads of a rank: the setting, then the user's environment, then its share of the cores."""

import pytest

from train.config import MOST_THREADS
from train.distributed import threads
from train.distributed.launcher import Launcher
from train.distributed.threads import rank_threads

ALONE = Launcher()
PLACE = {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "here", "MASTER_PORT": 1}
BARE = Launcher.model_validate(PLACE)
TORCHRUN = Launcher.model_validate({**PLACE, "TORCHELASTIC_RUN_ID": "none"})


@pytest.fixture(autouse=True)
def five_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "host_cores", lambda: 5.0)


@pytest.mark.parametrize(
    ("environment", "launched", "wanted"),
    [
        ({}, ALONE, 5),
        ({}, BARE, 2),
        ({"OMP_NUM_THREADS": "3"}, ALONE, 3),
        ({"OMP_NUM_THREADS": "1"}, ALONE, 1),
        ({"OMP_NUM_THREADS": "1"}, BARE, 1),
        ({"OMP_NUM_THREADS": "1"}, TORCHRUN, 2),  # torchrun sets it where the user did not
        ({"OMP_NUM_THREADS": "4"}, TORCHRUN, 4),
        ({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "3"}, TORCHRUN, 3),
        ({"MKL_NUM_THREADS": "3"}, ALONE, 3),
        ({"OMP_NUM_THREADS": "4,2"}, ALONE, 4),
        ({"OMP_NUM_THREADS": ""}, ALONE, 5),
        ({"OMP_NUM_THREADS": "0"}, ALONE, 5),
        ({"OMP_NUM_THREADS": "many"}, ALONE, 5),
        ({"OMP_NUM_THREADS": "999999"}, ALONE, MOST_THREADS),
    ],
)
def test_without_a_setting(monkeypatch, environment, launched, wanted):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank_threads(None, launched) == wanted


def test_the_setting_wins(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert rank_threads(7, ALONE) == rank_threads(7, TORCHRUN) == 7


@pytest.mark.parametrize(("cores", "wanted"), [(0.5, 1), (1.5, 1), (2.0, 2), (3.9, 3)])
def test_under_a_cpu_quota(monkeypatch, cores, wanted):
    monkeypatch.setattr(threads, "host_cores", lambda: cores)
    assert rank_threads(None, ALONE) == wanted
    assert rank_threads(None, BARE) == 1
