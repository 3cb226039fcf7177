"""A writer that is killed at random moments: what it acknowledged is there and whole, nothing half is seen."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest

from embeddings.index.check_index import verify
from embeddings.index.index_writer import IndexWriter
from embeddings.index.live_index import LiveIndex
from tests.conftest import ROOT
from tests.embeddings.index.indexes import small_index, vectors_of
from tests.embeddings.index.killed_writer import ITEMS, THREADS

Held = dict[int, set[int]]  # id -> seeds of the vectors that it may have; -1: none


def kill_once(path: str, seed: int, after_s: float, held: Held) -> int:
    """Start a writer, kill it that long after it began to write; returns how many changes it acknowledged."""
    command = [sys.executable, "-m", "tests.embeddings.index.killed_writer", path, str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said = [process.stdout.readline()]
    time.sleep(after_s)
    process.kill()
    with process:
        said += process.stdout.read().splitlines()
    acknowledged = 0
    for line in said:
        words = line.split()
        if len(words) != 6:
            continue  # the last one may be cut
        what, _, kind, vectors_seed, first, count = words
        outcome = int(vectors_seed) if kind == "put" else -1
        for item in range(int(first), int(first) + int(count)):
            held[item] = {outcome} if what == "done" else held.get(item, {-1}) | {outcome}
        acknowledged += what == "done"
    return acknowledged


def check(index: LiveIndex, held: Held) -> None:
    """Each id has one of the vectors that it may have, and from here on may have no other."""
    items = np.arange(ITEMS * THREADS)
    rows = index.rows(items)
    for item, row in zip(items.tolist(), rows.tolist(), strict=True):
        seeds = held.get(item, {-1})
        if row < 0:
            assert -1 in seeds, f"id {item} is lost; it had one of {seeds}"
            held[item] = {-1}
            continue
        right = {s for s in seeds if s >= 0 and np.allclose(index.vectors[row], vectors_of([item], s)[0], atol=1e-6)}
        assert right, f"id {item} has a vector that it never was given last"
        held[item] = right


def kill_again_and_again(path: str, kills: int, seed: int) -> int:
    """Returns the changes that were acknowledged. A reader is open all the while, another is opened anew each time."""
    small_index(path).close()
    chance, held, acknowledged = random.Random(seed), Held(), 0
    with LiveIndex(path) as staying:
        for kill in range(kills):
            acknowledged += kill_once(path, seed * 1000 + kill, chance.uniform(0, 0.5), held)
            verify(staying)
            IndexWriter(path).close()  # what was committed and not acknowledged may be seen from here on
            with LiveIndex(path) as index:
                check(index, held)
                verify(index)
            check(staying, held)
            verify(staying)
    return acknowledged


def test_what_a_killed_writer_acknowledged_is_there(tmp_path):
    assert kill_again_and_again(str(tmp_path / "index"), kills=3, seed=1) > 20


@pytest.mark.slow
def test_what_a_writer_acknowledged_is_there_after_50_kills(tmp_path):
    assert kill_again_and_again(str(tmp_path / "index"), kills=50, seed=2) > 500
