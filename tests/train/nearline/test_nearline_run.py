"""Near-line training: along a stream, from a kill on, and what scorers make of its deltas."""

import json

import numpy as np
import pytest

from serve import Scorer
from tests.train.launch import about, cli, one_line, rows
from tests.train.nearline.conftest import CANDIDATES, CONTEXT, logits
from train.nearline.nearline_run import NearlineRun
from train.nearline.publisher import Publisher


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_deltas_score_as_a_full_export_does(nearline, dtype):
    """To the last bit, whatever the dtype, and so do the unknown rows; each delta moves the scores."""
    here = nearline()
    here.write(70)
    here.train("--dtype", dtype, "--stop-after", 1)
    scorer = Scorer(here.model)
    assert (scorer.version, scorer.delta, scorer.event_time) == ("000001", 1, 1005.0)
    first = logits(scorer)
    assert np.array_equal(first, here.full("--dtype", dtype))
    here.write(64, 33)
    here.train("--dtype", dtype, "--stop-after", 2)
    assert scorer.refresh() and (scorer.version, scorer.delta, scorer.event_time) == ("000001", 3, 3005.0)
    second, full = logits(scorer), here.full("--dtype", dtype)
    assert np.array_equal(second, full) and not np.array_equal(first, second)
    assert np.array_equal(logits(Scorer(here.model)), full), "a scorer that begins takes all deltas"
    assert scorer.score(CONTEXT, CANDIDATES).version == "000001+3"
    whole = Scorer(here.root / "full")
    for table in ("user", "item", "tag"):
        every = np.arange(-1, 61)
        assert np.array_equal(scorer.model.tables[table].trained(every), whole.model.tables[table].trained(every))


def test_a_full_version_every_so_many_deltas(nearline):
    here = nearline()
    here.write(40, 40, 40, 40)
    here.train("--full-every", 2, "--stop-after", 4, "--keep", 1)
    scorer = Scorer(here.model)
    assert (scorer.version, scorer.delta) == ("000002", 1)
    assert np.array_equal(logits(scorer), here.full())
    assert sorted(p.name for p in here.model.iterdir()) == ["000002", "000002.d", "current.json"]


def test_it_goes_on_where_it_was(nearline):
    """Stopped after any file, the weights are those of the stream without a stop, and scorers follow one chain."""
    whole, parts = nearline("whole"), nearline("parts")
    for here in (whole, parts):
        here.write(70, 64, 33)
    whole.train("--stop-after", 3)
    for _ in range(3):
        parts.train("--stop-after", 1)
    assert np.array_equal(whole.full(), parts.full())
    assert (Scorer(parts.model).version, Scorer(parts.model).delta) == ("000001", 3)
    steps = [[(r["step"], r["loss"]) for r in rows(here.folder)] for here in (whole, parts)]
    assert steps[0] == steps[1] and len(steps[0]) == 3
    assert about(parts.folder)["files"] == 3 and about(parts.folder)["rows"] == 167


def test_the_end_of_a_stream(nearline):
    here = nearline()
    here.write(40, 0, 40)
    here.writer.end()
    here.train(model=False)
    assert about(here.folder)["files"] == 3
    done = here.train(model=False)
    assert "file 4 is next" in done.err


def test_files_that_have_come_again_or_are_damaged(nearline):
    here = nearline()
    here.write(40, 40)
    path = here.stream / "000000000002.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    here.train("--stop-after", 1, model=False)
    (here.stream / "000000000001.parquet").touch()
    path.write_bytes(good)
    here.train("--stop-after", 1, model=False)
    assert about(here.folder)["files"] == 2


def test_what_it_cannot_begin_with(nearline, tmp_path):
    here = nearline()
    one_line(cli(*here.arguments("--checkpoint", "step-9")), "has no checkpoint 'step-9'")
    one_line(cli(*here.arguments("run.name=other")), "has no checkpoints to train on from")
    done = cli(*[a if a != here.stream else tmp_path / "nowhere" for a in here.arguments()])
    one_line(done, "nowhere' is no folder")


def test_its_checkpoints_are_a_runs(nearline):
    """evaluate and predict take them as those of any CTR run."""
    here = nearline()
    here.write(40)
    here.train("--stop-after", 1, model=False)
    done = cli("evaluate", here.folder, "--split", "test")
    assert done.status == 0, done.err
    assert json.loads((here.folder / "evaluation" / "test.json").read_text())["overall"]["auc"]


def test_interrupted_at_any_step(nearline, monkeypatch):
    """Wherever it ends, it goes on to the weights of the stream without an end, and what scores fits together."""
    whole, parts = nearline("whole"), nearline("parts")
    for here in (whole, parts):
        here.write(100, 64, 33, 70)
        here.writer.end()
    whole.train()
    step, stops = NearlineRun._step, [9, 10, 11, 13, 15]

    def interrupted(self, batches):
        step(self, batches)
        if self.state.step == stops[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NearlineRun, "_step", interrupted)
        while stops:
            more = ["--model", parts.model, "--publish-s", 0, "train.checkpoint_every=2"]
            assert cli(*parts.arguments(*more)).status == 130
            assert about(parts.folder)["status"] == "interrupted"
            logits(Scorer(parts.model))
            stops.pop(0)
    parts.train("train.checkpoint_every=2")
    full = whole.full()
    assert np.array_equal(parts.full(), full) and np.array_equal(logits(Scorer(parts.model)), full)
    assert Scorer(parts.model).version == "000001", "the chain went on"


def test_what_cannot_be_published_is_published_later(nearline, monkeypatch):
    here = nearline()
    here.write(64, 64)
    write, tries = Publisher._write_delta, []

    def full_disk(self, *arguments):
        tries.append(1)
        if len(tries) == 1:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(Publisher, "_write_delta", full_disk)
    done = here.train("--stop-after", 2)
    assert "nothing was published" in done.err and "No space left on device" in done.err and len(tries) == 2
    scorer = Scorer(here.model)
    assert scorer.delta == 1 and np.array_equal(logits(scorer), here.full())


def test_another_version_in_between_gets_no_delta_of_ours(nearline):
    """Deltas are of the version that they were made for, so a full one follows."""
    here = nearline()
    here.write(64)
    here.train("--stop-after", 1)
    assert cli("export", here.run, "--out", here.model).status == 0
    here.write(64)
    here.train("--stop-after", 1)
    scorer = Scorer(here.model)
    assert (scorer.version, scorer.delta) == ("000003", 1) and np.array_equal(logits(scorer), here.full())
