"""Processes of a scorer: memory by what it is, counts by name, waits that end."""

import mmap
import os

import pytest

from benchmarks.serving.scorer_process import ScorerProcess, memory, until
from embeddings.errors import InputError


def test_memory_tells_mapped_files_from_own(tmp_path):
    before = memory([os.getpid()], tmp_path)
    (tmp_path / "table").write_bytes(bytes(8 << 20))
    with open(tmp_path / "table", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as own:  # no page that was freed
            own.write(bytes(64 << 20))
            after = memory([os.getpid()], tmp_path)
    assert before["mapped_bytes"] == 0 and after["mapped_bytes"] == 8 << 20
    assert after["anonymous_bytes"] - before["anonymous_bytes"] >= 32 << 20
    assert memory([2**22 + 1], tmp_path)["pss_bytes"] == 0


def test_count_sums_labels_of_one_metric(monkeypatch, tmp_path):
    text = b"# HELP t_version Newest.\nt_version 3.0\nt_versions 9.0\n"
    text += b't_requests_total{status="200"} 4.0\nt_requests_total{status="400"} 1.5\n'

    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self):
            return text

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer())
    scorer = ScorerProcess(1, 1, 0.0, 0.0, tmp_path)
    assert (scorer.count("t_version"), scorer.count("t_requests_total"), scorer.count("none")) == (3.0, 5.5, 0.0)


def test_until():
    assert until(lambda: True, 0, "no") < 1
    with pytest.raises(InputError, match="it did not come within 0 s"):
        until(lambda: False, 0, "it did not come")
