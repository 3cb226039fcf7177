"""Four ranks that share out a frozen table's rows train as four that hold a copy each: SimTier and MAKE, end to end."""

import json
from pathlib import Path

import pytest

from tests.train.launch import finished, rows, start_launched_ranks

MODEL = [
    "model.multimodal.mode=simtier+make",
    "model.multimodal.make.attention_hidden=5",
    "model.multimodal.make.hidden=[6,4,3]",
    "data.batch_size=8",
    "data.eval_batch_size=16",
]


def trained(config: Path, placement: str) -> Path:
    settings = [*MODEL, f"model.multimodal.placement={placement}", f"run.name={placement}"]
    done = finished(start_launched_ranks(4, "ctr", "--config", config, *settings), 240)
    assert done.status == 0, done.err[-6000:]
    run = config.parent / "runs" / placement
    assert json.loads((run / "plan.json").read_text())["frozen"] == {"text": placement}
    return run


@pytest.mark.slow
def test_row_wise_over_four_ranks_ends_as_replicated(config):
    path = config()
    ours, theirs = trained(path, "row_wise"), trained(path, "replicated")
    losses, wanted = ([r["loss"] for r in rows(run)] for run in (ours, theirs))
    assert len(wanted) == 24 and losses == pytest.approx(wanted, rel=3e-5)
    assert wanted[-1] < 0.99 * wanted[0], "it learns"
    for figures, same in zip(rows(ours, "evaluation"), rows(theirs, "evaluation"), strict=True):
        equal(figures, same)
    tests = [json.loads((run / "evaluation" / "test.json").read_text())["overall"] for run in (ours, theirs)]
    equal(*tests)


def equal(ours: dict, theirs: dict) -> None:
    assert ours["rows"] == theirs["rows"] == 200
    assert [ours[k] for k in ("ne", "log_loss")] == pytest.approx([theirs[k] for k in ("ne", "log_loss")], rel=1e-5)
    # of 200 rows, noise may put two nearly equal scores into another order
    assert [ours[k] for k in ("auc", "gauc")] == pytest.approx([theirs[k] for k in ("auc", "gauc")], abs=1e-3)
