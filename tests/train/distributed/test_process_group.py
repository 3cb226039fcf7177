"""The process group of a run: its settings, one after another, an end that its launcher does not cut short."""

import datetime
import signal
import tempfile

import pytest
import torch
import torch.distributed as dist

from embeddings.errors import InputError
from train.config import ProcessConfig
from train.distributed.process_group import process_group
from train.distributed.ranks import Ranks, on_first

CPU = torch.device("cpu")
SETTINGS = ProcessConfig(device="cpu", threads=1)


def test_a_single_rank_without_a_launcher():
    threads = torch.get_num_threads()
    try:
        with process_group(ProcessConfig(device="cpu", threads=3)) as ranks:
            assert ranks == Ranks(0, 1, 0, 1, CPU) and ranks.first
            assert dist.get_world_size() == 1 and torch.get_num_threads() == 3
            assert on_first(ranks, lambda: {"a": 1}) == {"a": 1}
    finally:
        torch.set_num_threads(threads)
    assert not dist.is_initialized()


def test_a_rank_waits_for_others_as_long_as_it_is_told():
    for seconds in (33, 600):
        with process_group(ProcessConfig(device="cpu", threads=1, timeout_s=seconds)):
            options = dist.group.WORLD._get_backend(CPU).options
            assert options._timeout == datetime.timedelta(seconds=seconds)


def test_threads_are_the_machine_s_cores_shared_by_its_ranks(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("train.distributed.threads.host_cores", lambda: 3.5)
    try:
        with process_group(ProcessConfig(device="cpu")):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_a_single_rank_leaves_no_file_should_it_be_killed(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with process_group(SETTINGS):
        assert list(tmp_path.iterdir()) == []


def test_one_group_after_another():
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), process_group(SETTINGS):
            raise ZeroDivisionError
        assert not dist.is_initialized()


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        InputError, match=r"process\.device is cuda, but torch finds no CUDA device; 'python -m train env'"
    ):
        with process_group(ProcessConfig(device="cuda")):
            pass
    with process_group(ProcessConfig(device="auto", threads=1)) as ranks:
        assert ranks.device == CPU


def test_a_failing_process_is_not_cut_short_by_its_launcher():
    with pytest.raises(InputError), process_group(SETTINGS):
        raise InputError("fix it")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
