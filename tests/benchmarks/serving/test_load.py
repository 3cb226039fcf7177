"""Load from wrk: what counts as failed, when a latency begins, which requests are under way in a window."""

import http.server
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.serving import load
from benchmarks.serving.load import Paced, most, paced

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@contextmanager
def answering(*statuses: int, first_s: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """A port where requests get the statuses in turn, 0: the connection is closed; the first takes ``first_s``."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            number = len(bodies)
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            if number == 0:
                time.sleep(first_s)
            status = statuses[number % len(statuses)]
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], bodies
        server.shutdown()


@needs_wrk
@pytest.mark.parametrize("arrivals", ["even", "random"])
def test_paced_counts_what_fails_and_sends_all_bodies(arrivals):
    with answering(200, 503, 200, 0) as (port, sent):
        found = paced(port, [{"a": 1}, {"a": 2}], 100, 1, arrivals)
    assert set(np.unique(found.statuses)) == {0, 200, 503}
    assert found.failed == (found.statuses != 200).sum() and found.load().requests == found.due.size
    assert set(sent) == {b'{"a": 1}', b'{"a": 2}'}
    assert (np.diff(found.due) >= 0).all()


@needs_wrk
def test_a_request_counts_from_when_it_was_due(monkeypatch):
    """Those behind a slow one on their connection wait for it: that wait is theirs."""
    monkeypatch.setattr(load, "CONNECTIONS", 1)
    with answering(200, first_s=1.0) as (port, _):
        found = paced(port, [{}], 20, 2)
    answered = found.due + found.seconds
    behind = (found.due > found.due[0]) & (found.due < answered[0])
    assert behind.sum() > 5
    assert (answered[behind] >= answered[0]).all()


@needs_wrk
def test_most_counts_what_fails():
    with answering(200, 400) as (port, _):
        found = most(port, [{}], 2, 1)
    assert 0 < found.failed < found.requests


def test_within_is_what_overlaps_a_window():
    found = Paced(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 1.5, 0.1, 0.1]), np.array([200, 200, 0, 200]))
    during = found.within([(2.05, 2.5)])
    assert during.due.tolist() == [1.0, 2.0] and during.failed == 1
    assert during.percentile_ms(50) == 1500.0
    assert found.within([]).percentile_ms(99) == 0.0
