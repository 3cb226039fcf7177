"""Runs of contrastive learning: what they learn, write, and go on from."""

import signal

import pyarrow.parquet as pq
import pytest

from recsys.scl.encoders.encoder_folder import load_encoder
from tests.train.launch import about, cli, finished, rows, start, start_launched_ranks, wait_for_step
from tests.train.scl import tiny

LOSSES = ("step", "epoch", "loss", "info_nce", "triplet", "temperature", "lr")


def figures(run) -> list:
    train = [tuple(r[key] for key in LOSSES) for r in rows(run)]
    return [train, rows(run, "evaluation")]


def trained(config, *overrides):
    done = cli("scl", "--config", config, *overrides)
    assert done.status == 0, done.err
    return done


@pytest.mark.parametrize(("query", "items"), [("image", "image"), ("text", "text"), ("image", "text")])
def test_learns_the_pairs_and_writes_the_encoder(query: str, items: str, tmp_path):
    config = tiny.write_config(tmp_path, tiny.make_pairs(tmp_path / "pairs", query, items))
    trained(config, "train.epochs=12")
    run = tmp_path / "runs" / "run"
    best = max(r["acc@1"] for r in rows(run, "evaluation") if r["split"] == "validation")
    assert best == about(run)["acc@1"] > 0.6, "chance is a quarter"
    assert [r["split"] for r in rows(run, "evaluation")].count("test") == 1
    encoder = load_encoder(run / "encoder")
    contents = pq.read_table(tmp_path / "pairs" / "items")["content"].to_pylist()
    assert encoder.kind == items and encoder(encoder.decoder(contents)).shape == (4, 8)
    assert (run / "query_encoder").is_dir() == (query != items)
    if query != items:
        assert load_encoder(run / "query_encoder").kind == query


@pytest.mark.parametrize("steps", [4, 6, 11])
def test_max_steps_then_more_is_the_whole_run(config, tmp_path, steps):
    runs, late = tmp_path / "runs", "model.bank.wait_epochs=1"  # of the first six steps
    trained(config, "run.name=whole", late)
    trained(config, f"train.max_steps={steps}", late)
    assert f"resumed from step-{steps:08d}" in trained(config, "run.resume=true", late).out
    resumed, whole = figures(runs / "run"), figures(runs / "whole")
    assert resumed[0] == whole[0] and resumed[1][-1] == whole[1][-1]


def test_the_bank_waits(config, tmp_path):
    """As long as it waits, it is as if there were none."""
    runs = tmp_path / "runs"
    for name, setting in (("none", "rows=0"), ("at_once", "wait_epochs=0"), ("late", "wait_epochs=2")):
        trained(config, f"run.name={name}", f"model.bank.{setting}")
    none, at_once, late = (figures(runs / name)[0] for name in ("none", "at_once", "late"))
    steps = len(none) // 3
    assert late[: 2 * steps] == none[: 2 * steps] != at_once[: 2 * steps]
    first, second = 2 * steps, 2 * steps + 1
    assert late[first] == none[first], "the bank is empty yet"
    assert late[second] != none[second]


@pytest.mark.slow
def test_killed_and_resumed_is_the_whole_run(config, tmp_path):
    runs = tmp_path / "runs"
    longer = ["train.epochs=30", "train.checkpoint_every=4"]
    trained(config, "run.name=whole", *longer)
    process = start("scl", "--config", config, *longer)
    wait_for_step(runs / "run", 25, process)
    process.kill()
    assert finished(process).status == -signal.SIGKILL
    assert "resumed from step-" in trained(config, "run.resume=auto", *longer).out
    assert figures(runs / "run") == figures(runs / "whole")


@pytest.mark.slow
def test_sigterm_saves(config, tmp_path):
    run = tmp_path / "runs" / "run"
    process = start("scl", "--config", config, "train.epochs=400")
    wait_for_step(run, 3, process)
    process.send_signal(signal.SIGTERM)
    assert finished(process).status == 128 + signal.SIGTERM
    assert about(run)["status"] == "interrupted"
    last = rows(run)[-1]["step"]
    assert (run / "checkpoints" / f"step-{last:08d}").is_dir()


@pytest.mark.slow
def test_two_ranks_are_one(config, tmp_path):
    """Of texts: BatchNorm's statistics are a rank's own, so a step of pictures is not quite the same."""
    config = tiny.write_config(tmp_path, tiny.make_pairs(tmp_path / "texts", "text", "text"))
    same = ["model.text.dropout=0.0"]
    trained(config, "run.name=one", *same)
    done = finished(start_launched_ranks(2, "scl", "--config", config, "data.batch_size=4", *same))
    assert done.status == 0, done.err
    one, two = (figures(tmp_path / "runs" / name) for name in ("one", "run"))
    assert len(one[0]) == len(two[0]) == 18
    for a, b in zip(one[0], two[0], strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=2e-3)
    assert [e["acc@1"] for e in one[1]] == pytest.approx([e["acc@1"] for e in two[1]], abs=0.1)


def test_a_bank_that_would_never_begin_is_refused(config):
    done = cli("scl", "--config", config, "model.bank.wait_epochs=3")
    assert done.status != 0 and "wait_epochs is 3 of 3 epochs, so the bank would never be used" in done.err


def test_an_untrained_encoder_is_written_and_measured(config, tmp_path):
    trained(config, "train.epochs=0", "data.test=null", "model.bank.wait_epochs=1")
    (only,) = rows(tmp_path / "runs" / "run", "evaluation")
    assert only["step"] == 0 and only["candidates"] == 4 and load_encoder(tmp_path / "runs" / "run" / "encoder")


def test_stops_early(config, tmp_path):
    trained(config, "train.epochs=40", "train.patience=2", "data.test=null")
    accuracies = [r["acc@1"] for r in rows(tmp_path / "runs" / "run", "evaluation")]
    assert len(accuracies) < 40 and max(accuracies[-2:]) <= max(accuracies[:-2])
