"""A store's file that is cut short while it is mapped: the access to a page that is gone ends in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embeddings.frozen.store import build_store
from embeddings.kernels import native

SCRIPT = """
import mmap, os, signal, sys, threading
import torch
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.lost_pages import name_lost_pages
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
store = FrozenStore.open(sys.argv[1])
name_lost_pages(store)
table = FrozenTable(store)
file = os.path.join(sys.argv[1], "vectors.npy")
what = sys.argv[2]
if what == "cut short":  # which several threads meet at once
    os.truncate(file, 1000)
    for _ in range(4):
        threading.Thread(target=store.vectors.sum).start()
    rows = torch.arange(store.count)
    print(table.tier_counts(FrozenRows(rows[:9], rows, torch.arange(10) * 100), 5))
elif what == "another file":
    with open(sys.argv[1] + "/other", "w+b") as other:
        other.truncate(8192)
        pages = mmap.mmap(other.fileno(), 8192)
        other.truncate(0)
    print(pages[5000])
elif what == "from outside":
    os.kill(os.getpid(), signal.SIGBUS)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    vectors = np.random.default_rng(0).normal(size=(2000, 16))
    return build_store(str(tmp_path / "s"), np.arange(2000), vectors, dtype="float32").path


@pytest.mark.skipif(native.unavailable_reason() is not None, reason="without the native library there is no handler")
@pytest.mark.parametrize(
    ("what", "status"),
    [("cut short", 2), ("another file", -7), ("from outside", -7)],
)
def test_a_page_that_is_gone_is_one_line(path: str, what: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, path, what], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done
    lines = done.stderr.split("\n")
    if status == 2:
        assert lines[0] == "" and lines[2:] == [""], done.stderr
        assert lines[1].startswith(f"error: '{path}/vectors.npy' was cut short, or its disk failed, while")
        assert f"'python -m train store verify {path}' passes" in lines[1]
    else:
        assert "cut short" not in done.stderr and not done.stdout
