"""Items of requests: JSON and Arrow of both kinds, and what is refused before anything is kept."""

import base64

import orjson
import pyarrow as pa
import pytest

from embeddings.errors import InputError
from serve.encode.content_log import Change
from serve.encode.item_requests import arrow_changes, json_changes
from tests.serve.http.served import stream

PICTURE = base64.b64encode(b"picture").decode()


def test_json_of_one_and_of_many():
    assert json_changes(orjson.dumps({"id": 7, "image": PICTURE}), "image", 1) == [Change(7, b"picture")]
    many = {"items": [{"id": 7, "text": "a"}, {"id": -8, "text": "\u00e9"}]}
    assert json_changes(orjson.dumps(many), "text", 2) == [Change(7, b"a"), Change(-8, b"\xc3\xa9")]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"id": 7, "text": "a"}, "wanted an object with id and image"),
        ({"id": 7, "image": PICTURE, "more": 1}, "wanted an object with id and image"),
        ({"id": 7, "image": "no base64!"}, "is no base64"),
        ({"id": 7, "image": 7}, "wanted a string, base64"),
        ({"id": 2**63, "image": PICTURE}, "wanted a signed 64-bit"),
        ({"id": True, "image": PICTURE}, "wanted a signed 64-bit"),
        ({"id": "7", "image": PICTURE}, "wanted a signed 64-bit"),
        ({"items": []}, "0 items; allowed: 1 to 2"),
        ({"items": [{"id": 7, "image": PICTURE}] * 3}, "3 items; allowed: 1 to 2"),
        ({"items": 7}, "wanted a list of items"),
        ([], "item 0 is"),
    ],
)
def test_json_that_is_refused(request_, words):
    with pytest.raises(InputError, match=words):
        json_changes(orjson.dumps(request_), "image", 2)


def test_arrow_of_both_kinds():
    image = stream({"more": [1, 2], "image": [b"a", b"b"], "id": pa.array([7, -8], pa.int32())})
    assert arrow_changes(image, "image", 2) == [Change(7, b"a"), Change(-8, b"b")]
    text = stream({"id": [7], "text": pa.array(["\u00e9"], pa.large_string())})
    assert arrow_changes(text, "text", 2) == [Change(7, b"\xc3\xa9")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "stream is missing|no readable Arrow"),
        (b"something else", "no readable Arrow stream"),
        (stream({"id": [7]}), "wanted id and image, once each"),
        (stream({"id": [7], "image": ["a text"]}), "column 'image' is string; wanted binary"),
        (stream({"id": [7.0], "image": [b"a"]}), "column 'id' is double; wanted signed integers"),
        (stream({"id": [7, None], "image": [b"a", b"b"]}), "an id is null"),
        (stream({"id": [7, 8], "image": [b"a", None]}), "the content of item 8 is null"),
        (stream({"id": [1, 2, 3], "image": [b"a"] * 3}), "3 rows or more; allowed: 2"),
        (stream({"id": pa.array([], pa.int64()), "image": pa.array([], pa.binary())}), "0 items"),
        (stream({"id": [7], "image": [b"a"]}) + b"more", "4 bytes follow the stream"),
        (stream({"id": [7], "image": [b"a"]}, compression="zstd"), "is compressed"),
    ],
)
def test_arrow_that_is_refused(body, words):
    with pytest.raises(InputError, match=words):
        arrow_changes(body, "image", 2)
