"""Rendezvous: how this rank meets the others, and what keeps it from them, in one line, before it waits if possible."""

import contextlib
import datetime
import os
import socket
import threading
import time
from collections.abc import Iterator

import torch.distributed as dist

from embeddings.errors import InputError, LostRank, first_line, shown
from train.distributed.launcher import Launcher

QUICK_S = 15.0  # for a name that is not known yet, or a network that is not there: a container's may come after it
_ANSWER_S = 10.0  # of the store, beyond its own timeout


def rendezvous_store(launched: Launcher, timeout_s: int) -> dist.Store:
    """The store through which the ranks meet, with names of its own for each attempt of a launcher.

    torchrun keeps one store for all attempts, and torch takes it for a new one: a rank that is quick to start again
    would find the addresses of ranks that are dead. A rank that is alone has a store in memory.

    Raises InputError for a place that cannot be one, LostRank where the others do not come.
    """
    _check_interface()
    if launched.master_addr is None:
        return dist.HashStore()
    _check_names(launched, launched.master_addr, timeout_s)
    holds_it = launched.rank == 0 and not launched.store_is_torchruns
    with failures_named(launched, timeout_s):
        if not holds_it:
            _wait_for_port(launched.master_addr, launched.master_port, timeout_s)
        store = _tcp_store(launched, launched.master_addr, timeout_s, holds_it)
    return dist.PrefixStore(f"attempt-{launched.attempt}", store)


@contextlib.contextmanager
def failures_named(launched: Launcher, timeout_s: int) -> Iterator[None]:
    """Turn what torch's store and gloo say of a failed rendezvous into one line with a next step."""
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        text, place = str(error).lower(), f"MASTER_ADDR={launched.master_addr} MASTER_PORT={launched.master_port}"
        if "address already in use" in text:
            raise InputError(
                f"port {launched.master_port} (MASTER_PORT) of this machine is in use, by another run or program; "
                "give a free one (torchrun --master-port, or --standalone, which finds one), or end what holds it"
            ) from error
        if "failed to listen" in text:
            raise InputError(f"rank 0 cannot listen at {place} ({first_line(error)}); give another port") from error
        if "gloo/transport" in text and "ifa != nullptr" in text:
            reason = first_line(error).rpartition("nullptr. ")[2]
            raise InputError(
                f"gloo finds no network interface for this rank ({reason}); there are {', '.join(_interfaces())}; "
                "name one that is up in GLOO_SOCKET_IFNAME, or bring one up (ip link set lo up)"
            ) from error
        if launched.world_size == 1:
            raise
        raise LostRank(
            f"the {launched.world_size} ranks did not all meet at {place} within process.timeout_s={timeout_s} "
            f"({first_line(error, 160)}); see that all of them run, reach that machine and port, and have the same "
            "MASTER_ADDR, MASTER_PORT and WORLD_SIZE, then start them again"
        ) from error


def _wait_for_port(host: str, port: int, timeout_s: float) -> None:
    """Wait until something listens there. torch's store waits too, and prints a stack of C++ calls in the end."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((host, port), timeout=max(1.0, until - time.monotonic())).close()
            return
        except OSError as error:
            if time.monotonic() >= until:
                raise dist.DistNetworkError(error.strerror or str(error)) from error
        time.sleep(0.2)


def _tcp_store(launched: Launcher, host: str, timeout_s: int, holds_it: bool) -> dist.Store:
    """Torch's store, made in a thread: where another program listens at the port, it waits without end."""
    answer: list[dist.Store | Exception] = []

    def make() -> None:
        timeout = datetime.timedelta(seconds=timeout_s)
        try:
            store = dist.TCPStore(host, launched.master_port, launched.world_size, is_master=holds_it, timeout=timeout)
            answer.append(store)
        except (RuntimeError, dist.DistError) as error:
            answer.append(error)

    thread = threading.Thread(target=make, name="rendezvous", daemon=True)
    thread.start()
    thread.join(timeout_s + _ANSWER_S)
    if not answer:
        raise dist.DistNetworkError("what listens there does not answer as the ranks' store does")
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def _check_interface() -> None:
    there = _interfaces()
    for name in filter(None, os.environ.get("GLOO_SOCKET_IFNAME", "").split(",")):
        if name not in there:
            raise InputError(
                f"GLOO_SOCKET_IFNAME names {shown(name)}, which this machine has not; allowed: {', '.join(there)}; "
                "name one of them, or unset it"
            )


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _check_names(launched: Launcher, master: str, timeout_s: int) -> None:
    """Refuse names that lead nowhere, which torch would ask for again and again until the timeout."""
    until = time.monotonic() + min(QUICK_S, timeout_s)
    while isinstance(addresses := _addresses(master, launched.master_port), OSError):
        if time.monotonic() >= until:
            raise InputError(
                f"MASTER_ADDR={shown(master)} is no name or address that this machine can look up and reach "
                f"({addresses.strerror or addresses}); give rank 0's address, add its name to the DNS or /etc/hosts, "
                "or see that the network is up"
            )
        time.sleep(0.5)
    one_machine = launched.local_world_size == launched.world_size or all(map(_loopback, addresses))
    if one_machine or os.environ.get("GLOO_SOCKET_IFNAME"):
        return
    own, name = _addresses(socket.gethostname(), launched.master_port), socket.gethostname()
    if isinstance(own, OSError) or all(map(_loopback, own)):
        where = "is not to be looked up" if isinstance(own, OSError) else f"leads to {', '.join(own)}"
        raise InputError(
            f"this machine's own name {shown(name)} {where}, so ranks on other machines could not reach it; set "
            f"GLOO_SOCKET_IFNAME to the interface that they do reach (here: {', '.join(_interfaces())}), or give the "
            "name its address in /etc/hosts"
        )


def _addresses(name: str, port: int) -> list[str] | OSError:
    """The addresses of ``name`` to which there is a way from here, or why there is none. Sends nothing."""
    reached: set[str] = set()
    failure = OSError("no address")
    try:
        for family, kind, _, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind) as way:
                    way.connect(address)
                reached.add(str(address[0]))
            except OSError as error:
                failure = error
    except (OSError, UnicodeError) as error:  # a label that is too long is a UnicodeError
        failure = error if isinstance(error, OSError) else OSError(str(error))
    return sorted(reached) or failure


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
