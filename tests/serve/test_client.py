"""The client of a scorer: who does not answer, or is none, is said in one line; a token goes to nobody else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from embeddings.errors import InputError
from serve.client import ask

TOKEN = "a-token-of-enough-letters"


class Other(BaseHTTPRequestHandler):
    """Something else than a scorer."""

    answers = {"/list": b"[1]", "/text": b"hello", "/object": b'{"a": 1}'}
    tokens: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.tokens.append((self.path, self.headers["Authorization"]))
        if self.path == "/garbage":
            self.wfile.write(b"garbage\r\n\r\n")
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/object")
            self.end_headers()
        else:
            body = self.answers.get(self.path, b"<h1>no</h1>")
            self.send_response(200 if self.path in self.answers else 404)
            self.send_header("Content-Length", str(len(body) + (5 if self.path == "/cut" else 0)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Other)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/list", "/text", "/none", "/garbage", "/cut"])
def test_what_is_no_scorer_is_one_line(other, path):
    with pytest.raises(InputError) as got:
        ask(other + path, timeout_s=5)
    assert other in str(got.value) and "\n" not in str(got.value)


def test_a_token_is_for_the_host_that_is_asked_alone(other):
    Other.tokens.clear()
    assert ask(f"{other}/moved", token=TOKEN) == (200, {"a": 1})
    assert Other.tokens == [("/moved", f"Bearer {TOKEN}"), ("/object", None)]
