"""The arithmetic of the speed benchmark; the runs themselves are in the slow test."""

import json
from pathlib import Path

import pytest

from benchmarks.training.step import epochs_for, main, whole_epochs
from embeddings.errors import InputError
from tests.train.tiny import make_data


def test_whole_epochs_count_the_start_up():
    logged = [
        {"kind": "train", "step": 10, "examples_per_s": 50.0},  # 100 rows in 2 s
        {"kind": "evaluation", "step": 10},
        {"kind": "train", "step": 40, "examples_per_s": 300.0},  # 300 rows in 1 s
    ]
    assert whole_epochs(logged, 10) == pytest.approx(400 / 3)


def test_epochs_are_whole_and_enough():
    assert epochs_for(240, rows=100_000, global_batch=1_000) == 3
    assert epochs_for(240, rows=10**6, global_batch=1_000) == 1
    assert epochs_for(2, rows=10, global_batch=1_000) == 2


def test_a_mode_without_a_pytorch_baseline_is_refused():
    with pytest.raises(InputError, match="modes \\['vector'\\] have no PyTorch baseline; allowed: none, simtier"):
        main.main(["--data", "x", "--modes", "none,vector"], standalone_mode=False)


@pytest.mark.slow
def test_one_round_writes_both_rows(tmp_path: Path):
    data = make_data(tmp_path / "data", train_rows=2048)
    arguments = ["--data", str(data), "--rounds", "1", "--steps", "40", "--batch-size", "16", "--out", str(tmp_path)]
    main.main(arguments, standalone_mode=False)
    row = json.loads((tmp_path / "train_step.jsonl").read_text())
    assert (
        row["contenders"]["ours"]["median"] > 0
        and min(row["ratios"][peer] for peer in ("pytorch_padded", "pytorch_jagged")) > 0
    )
    shares = json.loads((tmp_path / "profile.jsonl").read_text())["shares"]
    assert sum(shares.values()) == pytest.approx(1, abs=0.05)
    assert all(shares[kind] > 0 for kind in ("input", "wait", "sparse", "backward", "optimizer", "forward"))
