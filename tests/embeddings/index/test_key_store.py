"""Keys that are damaged, cut short, of another index or of another LMDB are refused by name."""

import json
import os
import shutil
import subprocess
import sys

import lmdb
import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.index.check_keys import check_keys, check_keys_at_rest
from embeddings.index.index_writer import IndexWriter
from embeddings.index.live_index import LiveIndex
from tests.conftest import ROOT
from tests.embeddings.index.indexes import same, small_index, vectors_of

IDS = np.arange(3000)


@pytest.fixture
def path(tmp_path):
    with small_index(tmp_path / "index") as writer:
        for seed in range(3):
            writer.put(IDS, vectors_of(IDS, seed))
    return writer.path


def refused(path: str, *words: str) -> None:
    for open_it in (LiveIndex, IndexWriter):
        with pytest.raises(InputError) as error:
            open_it(path)
        assert all(word in str(error.value) for word in words), error.value


def test_no_index(tmp_path):
    refused(str(tmp_path / "none"), "no such folder", "serve index create")
    (tmp_path / "folder").mkdir()
    refused(str(tmp_path / "folder"), "has no index.json")


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2, "identity": "' + "0" * 32 + '"}', '{"format": 1}'])
def test_an_index_json_that_is_none(path, text):
    with open(os.path.join(path, "index.json"), "w") as out:
        out.write(text)
    refused(path, "index.json", "index create --store")


def test_keys_of_another_index(path, tmp_path):
    with open(os.path.join(path, "index.json"), "w") as out:
        json.dump({"format": 1, "identity": "0" * 32}, out)
    refused(path, "is of another index")


def test_keys_that_are_missing_or_no_folder(path):
    keys = os.path.join(path, "keys")
    shutil.move(keys, keys + "-away")
    refused(path, "keys' cannot be opened")
    with open(keys, "w"):
        pass
    refused(path, "keys' cannot be opened")


@pytest.mark.parametrize("left", [0, 100, 4096, 9000, 100_000])
def test_keys_that_were_cut_short(path, left):
    file = os.path.join(path, "keys", "data.mdb")
    os.truncate(file, min(left, os.path.getsize(file) // 3))
    with pytest.raises(InputError, match=r"cut short|damaged"):
        IndexWriter(path)
    if os.path.getsize(file):
        with pytest.raises(InputError, match=r"cut short|cannot be used"):
            LiveIndex(path)


def test_keys_of_another_lmdb(path):
    keys = os.path.join(path, "keys")
    shutil.rmtree(keys)
    with lmdb.open(keys, lib_version=1) as environment, environment.begin(write=True) as txn:
        txn.put(b"midentity", b"0" * 32)
    with pytest.raises(InputError, match="keys cannot be used"):
        LiveIndex(path)


def test_a_file_that_is_no_lmdb(path):
    with open(os.path.join(path, "keys", "data.mdb"), "wb") as out:
        out.write(os.urandom(1 << 16))
    refused(path, "keys")


def test_a_page_of_zeros_is_found_before_lmdb_meets_it(path):
    file = os.path.join(path, "keys", "data.mdb")
    pages = os.path.getsize(file) // 4096
    found = 0
    for page in range(2, pages):
        with open(file, "r+b") as keys:
            keys.seek(page * 4096)
            kept = keys.read(4096)
            keys.seek(page * 4096)
            keys.write(bytes(4096))
        try:
            check_keys(path)
        except InputError as error:
            assert "its keys are damaged" in str(error)
            found += 1
        with open(file, "r+b") as keys:
            keys.seek(page * 4096)
            keys.write(kept)
    assert found > pages // 4, "free pages do not matter"
    assert check_keys_at_rest(path)


def test_keys_are_not_checked_while_somebody_writes(path):
    script = f"""
import sys
from embeddings.index.index_writer import IndexWriter
with IndexWriter({path!r}):
    print("open", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        assert not check_keys_at_rest(path)
        with LiveIndex(path) as index:
            assert same(index, IDS, vectors_of(IDS, 2))
