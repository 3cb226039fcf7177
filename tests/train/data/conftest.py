"""Fixtures of the reader's tests."""

import threading

import pytest

from embeddings.errors import InputError
from tests.train.data.rows import SCHEMA, make_store
from train.data.reader import RowReader


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


@pytest.fixture
def reader(tmp_path, store):
    """Makes a reader of tmp_path's train split, without a store unless asked."""

    def make(schema=SCHEMA, split="train", stores=None, **settings):
        settings = {"batch_size": 4, **settings}
        return RowReader(str(tmp_path), split, schema, {"image": store} if stores is None else stores, **settings)

    return make


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    left = [t.name for t in threading.enumerate() if t.name.startswith("reader-")]
    assert not left, f"reading threads outlived their test: {left}"


@pytest.fixture
def refused(tmp_path, reader):
    """Asserts that reading all rows fails with every one of ``parts``, in one line, naming the file."""

    def check(*parts: str, **settings) -> str:
        with pytest.raises(InputError) as caught:
            list(reader(**settings).epoch(0))
        message = str(caught.value)
        for part in (*parts, str(tmp_path)):
            assert part in message
        assert "\n" not in message
        return message

    return check
