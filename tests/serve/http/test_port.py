"""The port: found free without sharing it, and held against others while our workers may share it."""

import socket

import pytest

from embeddings.errors import InputError
from serve.http.port import held_port


def listening(reuse_port: bool) -> socket.socket:
    one = socket.socket()
    if reuse_port:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", 0))
    one.listen()
    return one


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_that_is_taken_is_refused_even_where_it_could_be_shared(reuse_port):
    with listening(reuse_port) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"127.0.0.1:{port} cannot be listened on \(\[Errno 98\].*--port"):
            held_port("127.0.0.1", port).__enter__()


def test_workers_share_it_and_another_scorer_does_not():
    port = free_port()
    with held_port("127.0.0.1", port) as addresses:
        assert addresses == ["127.0.0.1"]
        with pytest.raises(InputError, match="cannot be listened on"):  # before any worker listens
            held_port("127.0.0.1", port).__enter__()
        workers = [socket.create_server(("127.0.0.1", port), reuse_port=True) for _ in range(2)]
        with pytest.raises(InputError, match="cannot be listened on"):
            held_port("127.0.0.1", port).__enter__()
        with socket.create_connection(("127.0.0.1", port), timeout=5):  # what holds it takes no connection
            accepted = next(worker for worker in workers if has_waiting(worker)).accept()[0]
        for one in (accepted, *workers):
            one.close()
    with held_port("127.0.0.1", port):  # connections that ended a moment ago are no hindrance
        pass


def has_waiting(worker: socket.socket) -> bool:
    import select

    return bool(select.select([worker], [], [], 1.0)[0])


def test_a_name_of_two_addresses_and_ipv6():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with held_port("::1", free_port()) as addresses:
            assert addresses == ["::1"]
    except InputError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with held_port("localhost", free_port()) as addresses:
        assert set(addresses) <= {"127.0.0.1", "::1"} and addresses


@pytest.mark.parametrize("host", ["", "no-such-host.invalid", "192.0.2.1", "a" * 300, "\udcff", "1.2.3.4.5"])
def test_a_host_that_is_none_of_this_machine(host):
    with pytest.raises(InputError, match="cannot be listened on"):
        held_port(host, 8600).__enter__()


def free_port() -> int:
    with listening(False) as one:
        return one.getsockname()[1]
