"""metrics.jsonl as it may be after kills, full disks and edits: every line is a row, or says why it is none."""

import json

import pytest

from embeddings.errors import InputError
from train.run import metrics_file
from train.run.metrics_file import read_lines

ROW = {"kind": "train", "step": 1, "epoch": 1, "loss": 0.5, "ne": None, "split": "train"}


def test_rows_in_their_order_and_no_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert list(read_lines(path)) == []
    path.write_text(json.dumps(ROW) + "\n\n" + json.dumps({**ROW, "step": 2, "loss": float("nan")}) + "\n")
    first, second = read_lines(path)
    assert first == ROW and second["step"] == 2


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "train", "st', b"\xff\xfe", b"[" * 50_000, b"3", b"[]", b"{}", b'{"kind": 1, "step": 1}',
        b'{"kind": "train", "step": "many"}', b'{"kind": "train", "step": 1, "loss": [1]}',
        b'{"kind": "train", "step": 1, "loss": 1' + b"0" * 400 + b"}", b"\x00" * 100, b"1" * 5000,
        b'{"kind": "train", "step": 1' + b"0" * 400 + b"}", b'{"kind": "train", "step": 1, "epoch": -1}',
    ],
)  # fmt: skip
def test_a_line_that_is_no_row_says_so_in_one_line_and_hides_no_other(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    good = json.dumps(ROW).encode()
    path.write_bytes(b"\n".join([good, line, good, b""]))
    before, error, after = read_lines(path)
    assert before == after == ROW and isinstance(error, InputError)
    assert str(error).startswith(f"'{path}', line 2") and str(error).isprintable() and len(str(error)) < 600


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics_file, "_MOST_BYTES", 100)
    path = tmp_path / "metrics.jsonl"
    path.write_text("x" * 1050 + "\n" + json.dumps({"kind": "train", "step": 1}) + "\n" + "x" * 100)
    long, row, last = read_lines(path)
    assert "line 1: longer than any row" in str(long) and row == {"kind": "train", "step": 1}
    assert "line 3: longer than any row" in str(last)
