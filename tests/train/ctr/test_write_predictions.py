"""Scores as parquet: whole or not there, never over a folder that is there."""

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch

from embeddings.errors import InputError
from train.ctr import write_predictions as module
from train.ctr.write_predictions import write_predictions


class TwoRows:
    """A batch of two rows, the first of which is repeated."""

    users, targets, labels = torch.tensor([1, 2]), torch.tensor([3, 4]), torch.tensor([0.0, 1.0])
    extra = {"shown_at": torch.tensor([5, 6])}
    repeated = 1

    def __len__(self) -> int:
        return 2


@pytest.fixture
def predict(ranks, tmp_path):
    """Writes two batches' scores to tmp_path/scores; ``between`` is called after the first."""

    def write(between) -> int:
        def scored():
            yield TwoRows(), torch.zeros(2)
            between()
            yield TwoRows(), torch.zeros(2)

        reader = SimpleNamespace(num_rows=2, stores={})
        return write_predictions(reader, scored(), ranks, tmp_path / "scores", labels=True)

    return write


def test_rows_and_columns(predict, tmp_path):
    assert predict(lambda: None) == 2
    assert pq.read_table(tmp_path / "scores" / "part-00000.parquet").to_pydict() == {
        "user": [2, 2],
        "target": [4, 4],
        "shown_at": [6, 6],
        "score": [0.5, 0.5],
        "label": [1, 1],
    }


def test_a_folder_that_appears_meanwhile_stays(predict, tmp_path):
    def other_run() -> None:
        (tmp_path / "scores").mkdir()
        (tmp_path / "scores" / "theirs").touch()

    with pytest.raises(InputError, match="scores' exists; name another --out, or remove it"):
        predict(other_run)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["scores", "scores/theirs"]


def test_scoring_that_fails_closes_its_file_and_leaves_nothing(predict, monkeypatch, tmp_path):
    writers = []

    class Writer(pq.ParquetWriter):
        def __init__(self, *args, **options) -> None:
            super().__init__(*args, **options)
            writers.append(self)

    monkeypatch.setattr(module.pq, "ParquetWriter", Writer)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict(fail)
    assert [writer.is_open for writer in writers] == [False] and not list(tmp_path.iterdir())
