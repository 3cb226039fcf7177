"""JSON requests: what is no JSON, and what is none of context and candidates."""

import pytest

from embeddings.errors import InputError
from serve.request.json_request import parse_request


def test_context_and_candidates_as_they_were_sent():
    assert parse_request(b' {"candidates": {"item": [1, -2, 9223372036854775807]}, "context": [null]} ') == (
        [None],
        {"item": [1, -2, 2**63 - 1]},
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"context": NaN, "candidates": {}}', b'{"context": 1e999, "candidates": {}}']
    + [
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 2000,
        b'"\\ud800"',
        b"'a'",
        b"1 2",
        b'{"context": 1' + b"0" * 5000,
    ],
)
def test_no_json_is_one_line(body):
    with pytest.raises(InputError, match=r"^the body is no JSON: ") as error:
        parse_request(body)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"null", b"{}", b'{"context": {}}', b'{"context": {}, "candidates": {}, "more": 1}']
)
def test_another_object_is_told(body):
    with pytest.raises(InputError, match="wanted an object with context and candidates"):
        parse_request(body)


def test_the_last_of_two_keys_counts():
    assert parse_request(b'{"context": 1, "candidates": 2, "context": 3}') == (3, 2)
