"""The arithmetic of the speed benchmark; the runs themselves are in the slow test."""

import json
from pathlib import Path

import pytest

from benchmarks.training.profile import SHARES, shares
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


def test_an_operator_belongs_to_what_its_innermost_known_caller_is():
    events = [
        (["## next_batch ##"], 10.0),
        (["All2All_Seq_Wait", "## forward 3 ##"], 20.0),
        (["fbgemm::permute", "[output_dist]_[x]", "## forward 3 ##"], 5.0),
        (["aten::mm", "## forward 3 ##"], 15.0),
        (["aten::mm", "autograd::engine::evaluate_function: AddmmBackward0", "## backward 3 ##"], 25.0),
        (["## backward 3 ##"], 5.0),  # outside any operator: DDP's wait
        (["aten::add", "## optimizer 3 ##"], 4.0),
    ]
    found = shares(events, 100.0)
    assert found == {
        "input": 0.1, "wait": 0.25, "sparse": 0.05, "backward": 0.25, "optimizer": 0.04, "forward": 0.15, "rest": 0.16,
    }  # fmt: skip
    assert list(found) == SHARES


def test_a_mode_without_a_twin_is_refused():
    with pytest.raises(InputError, match="modes \\['vector'\\] have no twin; allowed: none, simtier"):
        main.main(["--data", "x", "--modes", "none,vector"], standalone_mode=False)


@pytest.mark.slow
def test_one_round_writes_both_rows(tmp_path: Path):
    data = make_data(tmp_path / "data", train_rows=2048)
    arguments = ["--data", str(data), "--rounds", "1", "--steps", "40", "--batch-size", "16", "--out", str(tmp_path)]
    main.main(arguments, standalone_mode=False)
    row = json.loads((tmp_path / "train_step.jsonl").read_text())
    assert (
        row["contenders"]["ours"]["median"] > 0
        and min(row["ratios"][peer] for peer in ("twin_padded", "twin_jagged")) > 0
    )
    found = json.loads((tmp_path / "profile.jsonl").read_text())["shares"]
    assert sum(found.values()) == pytest.approx(1, abs=0.05)
    assert all(found[kind] > 0 for kind in ("input", "wait", "sparse", "backward", "optimizer", "forward"))
