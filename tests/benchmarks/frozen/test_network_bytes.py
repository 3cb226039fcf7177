"""Bytes that a process sends over TCP."""

import socket
import sys

import pytest

from benchmarks.frozen.network_bytes import sent_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and tcp_info")
def test_sent_bytes_are_those_of_this_process_alone():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        other, _ = server.accept()
        with other:
            before = sent_bytes()
            client.sendall(b"x" * 70_000)
            received = 0
            while received < 70_000:
                received += len(other.recv(1 << 16))
            assert sent_bytes() - before == 70_000
