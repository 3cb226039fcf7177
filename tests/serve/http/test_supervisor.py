"""The command as processes: workers that are killed, a supervisor that is, requests under way at the end, errors."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from serve.http.settings import Settings
from serve.http.supervisor import Supervisor
from tests.conftest import ROOT
from tests.serve.http.test_port import free_port
from tests.serve.tiny_model import REQUEST, write_version

WAIT_S = 120  # on a busy machine


def started(root: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "serve", "score", "--model", str(root), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def serving(root: Path, *options: str):
    """A server of the model that answers, and its port; it is gone afterwards."""
    port = free_port()
    server = started(root, "--port", str(port), *options)
    try:
        assert server.stdout.readline() == f"scoring by version 000001 at http://127.0.0.1:{port}\n"
        yield server, port
    finally:
        server.kill()
        server.communicate(timeout=WAIT_S)


def asked(port: int, path: str = "/v1/score", timeout: float = 30) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        if path == "/v1/score":
            connection.request("POST", path, json.dumps(REQUEST), {"Content-Type": "application/json"})
        else:
            connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def workers(server: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def metrics_of(worker: int) -> Path:
    """The folder of metrics that a worker has mapped."""
    lines = Path(f"/proc/{worker}/maps").read_text().splitlines()
    return next(Path(line.split()[-1]).parent for line in lines if "tierwise-metrics-" in line)


def until(true, what: str) -> None:
    limit = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_worker_that_is_killed_comes_back_and_sigterm_loses_no_request(own_model):
    with serving(own_model, "--processes", "2", "--timeout-s", "60") as (server, port):
        first = workers(server)
        folder = metrics_of(first[0])
        os.kill(first[0], signal.SIGKILL)
        until(lambda: not Path(f"/proc/{first[0]}").exists(), "it is gone, and all of its threads")
        assert asked(port)[0] == 200  # by the other
        until(lambda: len(workers(server)) == 2, "another one is there")
        until(lambda: len(list(folder.glob("gauge_livemax_?.db"))) == 2, "it counts, and answers")
        until(lambda: b"tierwise_oldest_version 1.0" in asked(port, "/metrics")[1], "it says its version")
        # a request whose body is half there at SIGTERM is still answered
        body = json.dumps(REQUEST).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as half:
            head = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            half.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:20])
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            until(lambda: refused(port), "new connections are refused")
            half.sendall(body[20:])
            assert half.recv(100).startswith(b"HTTP/1.1 200")
        assert server.wait(WAIT_S) == 0 and not folder.exists()
        assert "ended with status -9; another one starts in 0.5 s" in server.stderr.read()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.slow
def test_workers_end_with_a_supervisor_that_is_killed(own_model):
    with serving(own_model, "--processes", "1") as (server, port):
        (worker,) = workers(server)
        folder = metrics_of(worker)
        server.kill()
        until(lambda: not alive(worker), "the worker has ended")
        assert not folder.exists() and refused(port)


@pytest.mark.slow
def test_what_keeps_workers_from_answering_is_one_line(tmp_path, data, own_model):
    root = tmp_path / "huge"
    write_version(root, data, seed=1, scale=1e30)
    server = started(root, "--port", str(free_port()), "--processes", "2")
    try:
        out, err = server.communicate(timeout=WAIT_S)
    finally:
        server.kill()
    assert (server.returncode, out, err.count("\n")) == (2, "", 1) and "that are not finite" in err


def supervisor(root: Path) -> Supervisor:
    return Supervisor(Settings(model=str(root), port=free_port()))


def test_a_second_signal_hurries_unless_it_is_the_same_passed_on(own_model, monkeypatch):
    one, now = supervisor(own_model), [100.0]
    monkeypatch.setattr("serve.http.supervisor.time.monotonic", lambda: now[0])
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with one._signals():
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += 0.5
        os.kill(os.getpid(), signal.SIGTERM)
        assert one._stopping.is_set() and not one._hurry.is_set()
        now[0] += 2
        os.kill(os.getpid(), signal.SIGHUP)
        assert one._hurry.is_set()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_a_signal_that_is_ignored_stays_so(own_model):
    one = supervisor(own_model)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with one._signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert not one._stopping.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_watch_that_breaks_goes_on(own_model, capsys):
    one, looks = supervisor(own_model), []

    class Watch:
        def look(self):
            looks.append(1)
            if len(looks) == 1:
                raise RuntimeError("a defect")
            one._stopping.set()

    one._settings = Settings(model=str(own_model), poll_s=0.01)
    thread = threading.Thread(target=one._watch, args=(Watch(),))
    thread.start()
    thread.join()
    assert len(looks) == 2 and "RuntimeError: a defect" in capsys.readouterr().err
