"""The process among its ranks: settings, shared failures, lost connections."""

import datetime
import signal

import pytest
import torch
import torch.distributed as dist

from embeddings.errors import InputError, LostRank
from train.config import ProcessConfig
from train.distributed.device import available_cores
from train.distributed.process_group import process_group
from train.distributed.ranks import Ranks, on_first
from train.distributed.signals import ignore_sigterm, uninterrupted

CPU = torch.device("cpu")
SETTINGS = ProcessConfig(device="cpu", threads=1)


@pytest.fixture(autouse=True)
def signals():
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_single_rank_without_a_launcher():
    threads = torch.get_num_threads()
    try:
        with process_group(ProcessConfig(device="cpu", threads=available_cores() + 1)) as ranks:
            assert ranks == Ranks(0, 1, 0, 1, CPU) and ranks.first
            assert dist.get_world_size() == 1 and torch.get_num_threads() == available_cores() + 1
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
    monkeypatch.setattr("train.distributed.process_group.available_cores", lambda: 3)
    try:
        with process_group(ProcessConfig(device="cpu")):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


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


@pytest.mark.parametrize("error", [InputError("fix it"), OSError(28, "No space left on device")])
def test_a_failure_on_the_first_rank_keeps_its_kind(error):
    def fail():
        raise error

    with process_group(SETTINGS) as ranks, pytest.raises(type(error)) as caught:
        on_first(ranks, fail)
    assert caught.value is error


@pytest.mark.parametrize(("answer", "ends"), [([None, True], True), (["said", False], False)])
def test_other_ranks_hear_of_the_first_ones_failure(monkeypatch, answer, ends):
    def broadcast(values: list, src: int, group: object) -> None:
        assert src == 0 and group is None and values == [None, False]
        values[:] = answer

    monkeypatch.setattr(dist, "broadcast_object_list", broadcast)
    second = Ranks(1, 2, 1, 2, CPU)
    if ends:
        with pytest.raises(SystemExit) as caught:
            on_first(second, lambda: pytest.fail("only rank 0 acts"))
        assert caught.value.code == 2
    else:
        assert on_first(second, lambda: pytest.fail("only rank 0 acts")) == "said"


@pytest.mark.parametrize("text", ["[/pytorch/gloo/pair.cc] Connection closed by peer [127.0.0.1]:1", "Broken pipe"])
def test_a_lost_connection_is_bad_luck_only_with_other_ranks(monkeypatch, text):
    from train.distributed.lost_rank import lost_rank_named

    with pytest.raises(RuntimeError, match=r"closed by peer|pipe"), process_group(SETTINGS):
        raise RuntimeError(text)
    with pytest.raises(LostRank, match=r"^lost the connection to another rank \(.*\); .* one of them says why; start"):
        with lost_rank_named(2):
            raise RuntimeError(text + "\nmore lines")
    with pytest.raises(RuntimeError, match="shape mismatch"), lost_rank_named(2):
        raise RuntimeError("shape mismatch")


def test_a_failing_process_is_not_cut_short_by_its_launcher():
    with pytest.raises(InputError), process_group(SETTINGS):
        raise InputError("fix it")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_last_words_are_not_interrupted():
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    ignore_sigterm()
    signal.raise_signal(signal.SIGTERM)
