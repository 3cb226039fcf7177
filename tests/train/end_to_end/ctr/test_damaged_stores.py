"""A frozen store that is damaged before a run begins, or while one reads it: the store is named, not the rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.embeddings.frozen.stores import change_store
from tests.train.launch import cli, one_line
from train.ctr import scoring, task


def spoil(array: np.ndarray, value: float) -> np.ndarray:
    array[::2] = value
    return array


def overwrite(data: Path, value: float) -> None:
    """Put ``value`` into every other number of the store's vectors, in the file that is mapped."""
    vectors = np.lib.format.open_memmap(data / "frozen" / "text" / "vectors.npy", "r+")
    spoil(vectors.reshape(-1), value)
    vectors.flush()


@pytest.mark.parametrize(("value", "what"), [(np.nan, "is not finite"), (0, "is zero"), (3, "has norm 8.485")])
def test_a_store_of_damaged_rows_is_refused_at_the_start(
    config: Callable[..., Path], tmp_path: Path, own_data: Path, value: float, what: str
) -> None:
    change_store(str(own_data / "frozen" / "text"), "vectors.npy", lambda a: spoil(a, value), marked=True)
    done = cli("ctr", "--config", config(own_data))
    one_line(done, f"frozen/text': the vector of id 0 {what}; 30 of 60 rows are wrong; allowed: rows of norm 1")
    assert not (tmp_path / "runs" / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("value", [np.nan, 0.25])
def test_a_store_overwritten_under_a_run(
    config: Callable[..., Path], tmp_path: Path, own_data: Path, value: float, monkeypatch
) -> None:
    """With NaN the next loss shows it; with other vectors the next checkpoint is not written."""
    step = task.CTRTask.step

    def then_overwritten(self, batches, state):
        if state.step == 5:
            overwrite(own_data, value)
        return step(self, batches, state)

    monkeypatch.setattr(task.CTRTask, "step", then_overwritten)
    settings = ["train.log_every=1", "train.checkpoint_every=4", "model.multimodal.placement=host"]
    done = cli("ctr", "--config", config(own_data), *settings)
    one_line(
        done, "frozen/text/vectors.npy' was overwritten in place at ", "while this run was reading it", "store verify"
    )
    assert "row group" not in done.err
    assert [p.name for p in (tmp_path / "runs" / "run" / "checkpoints").iterdir()] == ["step-00000004"]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_store_overwritten_under_scoring(
    config: Callable[..., Path], tmp_path: Path, own_data: Path, command: str, monkeypatch
) -> None:
    assert cli("ctr", "--config", config(own_data), "train.max_steps=2", "data.test=null").status == 0
    out = ["--out", tmp_path / "scores"] if command == "predict" else []
    scored = scoring.scored

    def while_overwritten(*arguments):
        yield from scored(*arguments)
        overwrite(own_data, 0.25)

    monkeypatch.setattr(scoring, "scored", while_overwritten)
    done = cli(command, tmp_path / "runs" / "run", "--split", "test", *out)
    one_line(done, "frozen/text/vectors.npy' was overwritten in place at ")
    assert not (tmp_path / "scores").exists() and not (tmp_path / "runs" / "run" / "evaluation" / "test.json").exists()
