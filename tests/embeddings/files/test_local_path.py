"""Paths with ~, and URLs."""

import pytest

from embeddings.errors import InputError
from embeddings.files.local_path import local_path, with_home


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")


def test_the_home_folder_is_filled_in_at_the_beginning_alone():
    assert local_path("~/data") == with_home("~/data") == "/home/anna/data"
    for text in ("data", "./~", "a~b", "data #2", "a: b", "s3:/x", "hf-hub:x"):
        assert local_path(text) == with_home(text) == text
    assert with_home("s3://bucket/x") == "s3://bucket/x", "iopath's part"


def test_an_unknown_user_and_a_url_are_refused():
    with pytest.raises(InputError, match=r"there is no home folder of that user"):
        local_path("~nobody-of-that-name/data")
    for url in ("s3://bucket/x", "hdfs://host/x", "gs://b", "file:///x", "https://x"):
        with pytest.raises(InputError, match=r"is a URL.*mount the bucket"):
            local_path(url)
