"""Ranks that cannot meet: a port in use, names that lead nowhere, interfaces not there, others that do not come."""

import socket
import time
from collections.abc import Iterator

import pytest
import torch.distributed as dist

from embeddings.errors import InputError, LostRank
from train.distributed import rendezvous
from train.distributed.launcher import Launcher
from train.distributed.rendezvous import failures_named, rendezvous_store


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A program that listens at a port and never answers."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other


def rank(number: int, port: int, address: str = "127.0.0.1", machine: int = 2) -> Launcher:
    place = {"MASTER_ADDR": address, "MASTER_PORT": port}
    return Launcher.model_validate({"RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": machine, **place})


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def refusal(launched: Launcher, kind: type[InputError] = InputError, timeout_s: int = 1) -> str:
    with pytest.raises(kind) as caught:
        rendezvous_store(launched, timeout_s)
    assert type(caught.value) is kind and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_rank_alone_needs_neither_a_port_nor_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert isinstance(rendezvous_store(Launcher(), 10), dist.HashStore)
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use(listener):
    port = listener.getsockname()[1]
    assert refusal(rank(0, port)).startswith(f"port {port} (MASTER_PORT) of this machine is in use")


def test_nobody_at_the_port(capfd):
    port = free_port()
    text = refusal(rank(1, port), LostRank)
    assert f"the 2 ranks did not all meet at MASTER_ADDR=127.0.0.1 MASTER_PORT={port} within" in text
    assert capfd.readouterr().err == "", "no stack of C++ calls"


def test_others_that_do_not_come():
    assert "1/2 clients joined" in refusal(rank(0, free_port()), LostRank)


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 300, "with space"])
def test_a_master_that_cannot_be_looked_up(monkeypatch, name):
    monkeypatch.setattr(rendezvous, "QUICK_S", 0.0)
    began = time.monotonic()
    text = refusal(rank(0, free_port(), name), timeout_s=600)
    assert "is no name or address that this machine can look up and reach" in text and len(text) < 600
    assert time.monotonic() - began < 300, "long before the timeout"


def test_a_name_that_comes_later(monkeypatch):
    answers = [OSError("not yet"), OSError("not yet"), ["127.0.0.1"]]
    monkeypatch.setattr(rendezvous, "_addresses", lambda name, port: answers.pop(0))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    rendezvous._check_names(rank(0, 1, "pod-0"), "pod-0", 600)
    assert answers == []


def test_an_interface_that_is_not_there(monkeypatch):
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0,nope")
    text = refusal(Launcher())
    assert text.startswith("GLOO_SOCKET_IFNAME names 'nope', which this machine has not; allowed: lo, eth0")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0,lo")
    rendezvous_store(Launcher(), 1)


def test_no_interface_that_is_up():
    gloo = "[enforce fail at /x/gloo/gloo/transport/tcp/device.cc:212] ifa != nullptr. Unable to find interface"
    with pytest.raises(InputError, match=r"gloo finds no network interface for this rank \(Unable to find interface\)"):
        with failures_named(Launcher(), 10):
            raise RuntimeError(gloo)


@pytest.mark.parametrize("own", [OSError("no such name"), ["127.0.1.1"]])
def test_machines_whose_own_name_leads_nowhere(monkeypatch, own):
    """Ranks of two machines: gloo would give the others an address at which they cannot reach it."""
    names = {socket.gethostname(): own, "master": ["10.0.0.1"], "localhost": ["127.0.0.1"]}
    monkeypatch.setattr(rendezvous, "_addresses", lambda name, port: names[name])
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    with pytest.raises(InputError, match=r"own name .* could not reach it; set GLOO_SOCKET_IFNAME"):
        rendezvous._check_names(rank(1, 1, "master", machine=1), "master", 10)
    rendezvous._check_names(rank(1, 1, "master", machine=2), "master", 10)
    rendezvous._check_names(rank(1, 1, "localhost", machine=1), "localhost", 10)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    rendezvous._check_names(rank(1, 1, "master", machine=1), "master", 10)


def test_a_defect_of_a_rank_alone_stays_one():
    with pytest.raises(RuntimeError, match="a defect"), failures_named(Launcher(), 10):
        raise RuntimeError("a defect")


def test_another_program_at_the_port(listener, monkeypatch):
    """The last of the file: torch's thread prints why it ends, once the other program does."""
    monkeypatch.setattr(rendezvous, "_ANSWER_S", 0.5)
    assert "what listens there does not answer" in refusal(rank(1, listener.getsockname()[1]), LostRank)
