"""Clients of a scorer, each in a thread: one that compares answers, load at a rate, and rude ones."""

import http.client
import json
import socket
import threading
from typing import Any

from benchmarks.serving.load import Paced, paced
from benchmarks.serving.scorer_process import START_S, post
from embeddings.errors import first_line
from serve.request.media_types import JSON

ASKING_S = 0.02  # between requests whose answers are compared
RUDE_S = 0.2  # between requests that are wrong


class Asking:
    """Asks one request again and again in a thread: the logits of each version, and what failed.

    answers  version -> the logits that it was seen to answer with
    errors   what each request without an answer failed of
    """

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        self._port, self._body = port, body
        self._done, self._thread = threading.Event(), threading.Thread(target=self._ask)
        self.answers: dict[str, set[tuple[float, ...]]] = {}
        self.asked, self.errors = 0, list[str]()

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def mixed(self) -> int:
        """Versions that gave more than one answer."""
        return sum(len(found) > 1 for found in self.answers.values())

    def _ask(self) -> None:
        while not self._done.wait(ASKING_S):
            self.asked += 1
            try:
                answer = post(self._port, self._body)
                self.answers.setdefault(answer["version"], set()).add(tuple(answer["logits"]))
            except Exception as error:  # each is counted, whatever it is
                self.errors.append(first_line(error))


class Loading:
    """Requests at planned times from a thread, for so many seconds; ``paced`` once the block is left."""

    def __init__(self, *arguments: Any) -> None:
        self.paced: Paced
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._load, args=arguments)

    def __enter__(self) -> "Loading":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def _load(self, *arguments: Any) -> None:
        try:
            self.paced = paced(*arguments)
        except BaseException as error:
            self._error = error


class Rude:
    """Sends requests that are to be refused, and goes away from others before they are answered.

    sent    requests
    served  what was wrongly answered: other statuses than 400 to 499
    """

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        self._port, self._done = port, threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent, self.served = 0, list[str]()
        good = json.dumps(body).encode()
        many = body | {"candidates": {name: values * 10_001 for name, values in body["candidates"].items()}}
        self._refused = [
            ("/v1/score", b"{"),
            ("/v1/score", b"\xff" * 100),
            ("/v1/score", json.dumps({"context": {}, "candidates": {}}).encode()),
            ("/v1/score", json.dumps(body | {"candidates": {"item": "seven"}}).encode()),
            ("/v1/score", json.dumps(many).encode()),
            ("/v1/score", b" " * (5 << 20)),
            ("/v1/nothing", good),
        ]
        lines = ("POST /v1/score HTTP/1.1", "Host: localhost", f"Content-Type: {JSON}", f"Content-Length: {len(good)}")
        whole = "\r\n".join([*lines, "", ""]).encode() + good
        self._left = [whole, whole[: len(whole) // 2], whole[:20], b""]

    def __enter__(self) -> "Rude":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._done.wait(RUDE_S):
            path, body = self._refused[self.sent % len(self._refused)]
            try:
                status = self._status(path, body)
                if not 400 <= status < 500:
                    self.served.append(f"{status} of {path} {body[:30]!r}")
                with socket.create_connection(("127.0.0.1", self._port), START_S) as gone:
                    gone.sendall(self._left[self.sent % len(self._left)])
            except Exception as error:  # each is counted, whatever it is
                self.served.append(f"{first_line(error)} of {path} {body[:30]!r}")
            self.sent += 1

    def _status(self, path: str, body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=START_S)
        try:
            connection.request("POST", path, body, {"Content-Type": JSON})
            return connection.getresponse().status
        finally:
            connection.close()
