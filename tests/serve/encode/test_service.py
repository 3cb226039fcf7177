"""The encode service as a whole: vectors equal to those of ``train encode``, what is told outlives kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from embeddings.index.live_index import LiveIndex
from tests.conftest import ROOT
from tests.serve.encode.services import PICTURES, TITLES, exported, over_http, service, taken, vector
from tests.train.encoding.shelf import write_items
from tests.train.launch import cli


@pytest.mark.parametrize(("kind", "column", "contents"), [("image", "picture", PICTURES), ("text", "title", TITLES)])
def test_vectors_are_those_that_train_encode_writes(kind, column, contents, tmp_path):
    name = exported(tmp_path, kind)
    items = write_items(tmp_path / "items", range(len(contents)), contents, column)
    words = ("--items", items, "--column", column, "--dtype", "float32")
    for encoder in (tmp_path / f"run-{kind}-4", tmp_path / "encoder"):
        done = cli("encode", encoder, *words, "--out", tmp_path / "store", "--overwrite")
        assert done.status == 0, done.err
        store = FrozenStore.open(str(tmp_path / "store"))
        assert store.encoder == name
    raw = [content if kind == "image" else content.encode() for content in contents]

    async def talk(ask):
        for item, content in enumerate(raw):
            status, answer = await ask("PUT", f"/v1/items/{item}", data=content)
            assert (status, answer["encoder"], answer["sequence"]) == (200, name, item + 1)

    with service(tmp_path) as at_work:
        over_http(at_work, talk)
        told = taken(at_work, {100 + item: content for item, content in enumerate(raw)})  # in one batch
        assert all(outcome.reason is None for outcome in told.values())
    for item in range(len(raw)):
        np.testing.assert_allclose(vector(tmp_path, item), store.vectors[item], atol=1e-6)
        assert vector(tmp_path, 100 + item).tobytes() == store.vectors[item].tobytes()  # a batch of the same items


def test_a_second_service_and_another_index_are_refused(tmp_path):
    exported(tmp_path)
    with service(tmp_path), pytest.raises(InputError, match="content log"), service(tmp_path, index="elsewhere"):
        pass


def put(port: int, item: int, content: bytes) -> bool:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/items/{item}", content, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["items"] == 1


class Process:
    """``python -m serve encode`` in a process of its own."""

    def __init__(self, root: Path, port: int) -> None:
        words = ("--encoder", "encoder", "--index", "index", "--contents", "contents", "--folder", "in", "--dtype",
                 "float32", "--port", str(port), "--threads", "1")  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "serve", "encode", *words]
        self.process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        with self.process.stdout as said:
            assert "encoding by" in said.readline()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.mark.slow
def test_what_was_told_outlives_kill_9_and_sigterm_ends_it(tmp_path):
    exported(tmp_path)
    rng, port, acknowledged = random.Random(3), 18_610 + os.getpid() % 1000, set[int]()
    items = iter(range(10**6))

    def post() -> None:
        try:
            for item in items:
                if put(port, item, PICTURES[item % len(PICTURES)]):
                    acknowledged.add(item)
        except (OSError, urllib.error.URLError):
            return  # it was killed

    def under_load(process: Process, number: int) -> int:
        thread = threading.Thread(target=post)
        thread.start()
        time.sleep(0.2 + 0.3 * rng.random())
        status = process.end(number)
        thread.join()
        return status

    process = Process(tmp_path, port)
    for item in range(10**7, 10**7 + 2):
        (tmp_path / "in" / f"{item}.png").write_bytes(PICTURES[0])
    assert under_load(process, signal.SIGKILL) == -signal.SIGKILL and acknowledged
    with LiveIndex(str(tmp_path / "index")) as index:
        assert (index.rows(np.array(sorted(acknowledged))) >= 0).all()
    process = Process(tmp_path, port)
    time.sleep(1.0)  # the folder's files are taken again
    assert under_load(process, signal.SIGTERM) == 0
    assert [p for p in (tmp_path / "in").iterdir() if p.is_file()] == []
    with LiveIndex(str(tmp_path / "index")) as index:
        files = [int(p.stem) for p in (tmp_path / "in" / "done").iterdir()]
        assert len(files) == 2 and (index.rows(np.array([*sorted(acknowledged), *files])) >= 0).all()
