"""encoder.json of any folder: known settings within bounds, or one line."""

import json

import pytest

from embeddings.errors import InputError
from recsys.scl.encoders.about import read_about
from tests.recsys.scl.encoders.small_encoders import small

TIMM = {"library": "timm", "kind": "image", "width": 8, "size": 32, "name": "test_resnet", "features": 64,
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}  # fmt: skip
TRANSFORMERS = {"library": "transformers", "kind": "text", "width": 8, "max_length": 16, "pooling": "cls"}


@pytest.fixture
def read(tmp_path):
    def read(raw: object):
        (tmp_path / "encoder.json").write_text(raw if isinstance(raw, str) else json.dumps(raw))
        return read_about(tmp_path)

    return read


def test_what_was_written_is_read(read):
    for about in (small("image").about, small("text").about, TIMM, TRANSFORMERS):
        assert read(about) == about


def ours() -> list[dict]:
    return [small("image").about, small("text").about, TIMM, TRANSFORMERS]


@pytest.mark.parametrize("odd", [None, -1, 0, 10**9, 10**40, float("nan"), float("inf"), "x", [], {}, [[]], "x" * 9999])
def test_odd_values_are_one_line(read, odd):
    for about in ours():
        for key in about.keys() - {"features", "dropout"}:
            if (key, odd) == ("name", "x"):
                continue
            with pytest.raises(InputError) as error:
                read({**about, key: odd})
            assert str(error.value).startswith("encoder.json: ") and len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "name",
    ["hf-hub:timm/resnet18", "hf_hub:x", "local-dir:/tmp/x", "a/b", "../x", "http://x", "https://x/y", "a:b", ""],
)
def test_a_name_of_timm_is_neither_a_place_nor_a_folder(read, name):
    with pytest.raises(InputError, match=r"encoder.json: name"):
        read({**TIMM, "name": name})


@pytest.mark.parametrize(
    "raw",
    ["", "[", "[" * 100_000, "null", "[]", "7", "{}", {"library": "ours"}, {**TIMM, "kind": "text"},
     {**TRANSFORMERS, "kind": "image"}, {**TIMM, "library": "os"}],
)  # fmt: skip
def test_anything_else_is_one_line(read, raw):
    with pytest.raises(InputError) as error:
        read(raw)
    assert len(str(error.value)) < 1000 and "\n" not in str(error.value)
