"""The Redis of the live index's benchmark: a real server of one's own, or a word on what is missing."""

import socket

import pytest

from benchmarks.live import redis_server as module


@pytest.mark.skipif(module.shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_server_answers_and_ends_with_its_block(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    with module.redis_server(tmp_path / "redis") as path:
        assert path is not None
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"PING\r\n")
            assert client.recv(16) == b"+PONG\r\n"
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError):
        client.connect(path)


@pytest.mark.parametrize(
    ("binary", "package", "words"),
    [(None, "redis", "the program redis-server"), ("/bin/true", None, "the package redis")],
)
def test_what_is_missing_is_said(tmp_path, monkeypatch, capsys, binary, package, words):
    monkeypatch.setattr(module.shutil, "which", lambda name: binary)
    monkeypatch.setattr(module, "find_spec", lambda name: package)
    with module.redis_server(tmp_path / "redis") as path:
        assert path is None
    assert capsys.readouterr().err == f"note: Redis is left out: {words} is not installed\n"
