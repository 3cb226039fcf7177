"""MAKE trained alone by its command, and taken by a CTR model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embeddings.frozen.store import build_store
from tests.train import launch, tiny
from tests.train.launch import cli, one_line, rows
from train.checkpoint.shard_files import ShardFiles
from train.checkpoint.shard_reader import read_shards
from train.checkpoint.shards import whole_tensor
from train.run import trainer as loop

MAKE = ["model.multimodal.make.attention_hidden=5", "model.multimodal.make.hidden=[6,4,3]"]
JOINED = ["model.multimodal.mode=simtier+make", *MAKE]
IN_MODEL = ".multimodal.text."


def make(config: Path, *overrides: str) -> launch.Done:
    done = cli("make", "--config", config, *MAKE, *overrides)
    assert done.status == 0, done.err
    return done


def weights(run: Path, epoch: int) -> dict[str, torch.Tensor]:
    return load_file(run / "text" / "make" / f"epoch-{epoch}.safetensors")


def in_checkpoint(run: Path) -> dict[str, torch.Tensor]:
    """MAKE's weights in a CTR run's best checkpoint."""
    path = run / "checkpoints" / json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    saved = ShardFiles(path).index.tensors
    wanted = [whole_tensor(n, torch.empty(saved[n].size)) for n in saved if n.startswith("model.") and IN_MODEL in n]
    read_shards(path, wanted)
    return {shard.key.split(".make.", 1)[1]: shard.tensor for shard in wanted}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data) -> Path:
    """A finished MAKE run of three epochs, and the config that made it beside it."""
    root = tmp_path_factory.mktemp("make")
    path = root / "run.yaml"
    path.write_text(
        f"data: {{path: {data}, shuffle_rows: 100, batch_size: 32, eval_batch_size: 64}}\n"
        "model: {embedding_dim: 4, over_arch: [8, 8], attention: {hidden: [4]}}\n"
        "train: {epochs: 2, log_every: 1, warmup_steps: 5, select: auc}\n"
        "make: {train: {epochs: 3}, dense_optimizer: {lr: 0.01}, "
        "model: {multimodal: {make: {behaviour_dropout: 0.3}}}}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {root / 'runs'}}}\n"
    )
    make(path)
    return root / "runs" / "run-make"


def test_weights_of_every_epoch_and_what_they_are(trained, data):
    about = json.loads((trained / "text" / "make" / "about.json").read_text())
    evaluations = rows(trained / "text", "evaluation")
    assert [e["epoch"] for e in about["epochs"]] == [0, 1, 2, 3] and about["epochs"][0]["auc"] is None
    assert [e["auc"] for e in about["epochs"][1:]] == [e["auc"] for e in evaluations]
    assert all(e["gauc"] for e in evaluations), "GAUC by epoch"
    assert about["best_epoch"] == 1 + int(np.argmax([e["auc"] for e in evaluations]))
    assert (about["modality"], about["width"], about["hidden"]) == ("text", tiny.WIDTH, [6, 4, 3])
    first, last = weights(trained, 0), weights(trained, 3)
    assert first.keys() == last.keys() and all((first[k] - last[k]).abs().max() > 1e-5 for k in first)
    run = launch.about(trained / "text")
    assert run["mode"] == "make alone" and run["modes"] == {"text": "make"} and run["status"] == "done"
    assert run["table_parameters"] == 0
    assert run["dense_parameters"] == sum(v.numel() for v in last.values())
    assert (trained / "text" / "evaluation" / "test.json").is_file()
    assert all(r["lr_dense"] <= 0.01 and "lr_sparse" not in r for r in rows(trained / "text"))
    done = cli("evaluate", trained / "text", "--split", "validation")
    assert done.status == 0, done.err
    evaluation = json.loads((trained / "text" / "evaluation" / "validation.json").read_text())
    assert evaluation["overall"]["auc"] == pytest.approx(max(e["auc"] for e in evaluations), abs=1e-6)


def test_a_frozen_make_stays_as_it_came_and_a_tuned_one_moves(trained, config, tmp_path):
    taken = [*JOINED, f"model.multimodal.make.run={trained}", "train.epochs=1"]
    for name, more in {"frozen": ["model.multimodal.make.frozen=true", "dense_optimizer.weight_decay=0.1"],
                       "tuned": ["model.multimodal.make.epoch=2"]}.items():  # fmt: skip
        done = cli("ctr", "--config", config(), *taken, *more, f"run.name={name}")
        assert done.status == 0, done.err
    best = json.loads((trained / "text" / "make" / "about.json").read_text())["best_epoch"]
    frozen, tuned = in_checkpoint(tmp_path / "runs" / "frozen"), in_checkpoint(tmp_path / "runs" / "tuned")
    for key, value in weights(trained, best).items():
        assert torch.equal(frozen[key], value), key
    moved = {k: float((tuned[k] - v).abs().max()) for k, v in weights(trained, 2).items()}
    assert all(0 < m < 0.2 for m in moved.values()), moved
    assert launch.about(tmp_path / "runs" / "frozen")["modes"] == {"text": "simtier+make"}


def test_the_ctr_run_needs_the_make_run_no_more(trained, config, tmp_path):
    copy = tmp_path / "copied"
    shutil.copytree(trained, copy)
    taken = [*JOINED, f"model.multimodal.make.run={copy}", "model.multimodal.make.frozen=true"]
    assert cli("ctr", "--config", config(), *taken, "train.max_steps=7").status == 0
    shutil.rmtree(copy)
    done = cli("ctr", "--config", config(), *taken, "train.epochs=1", "run.resume=true")
    assert done.status == 0, done.err
    assert cli("evaluate", tmp_path / "runs" / "run", "--split", "validation").status == 0
    one_line(cli("ctr", "--config", config(), *taken, "run.name=again"), "no MAKE of modality 'text'", "train make")


def spoilt(folder: Path, **facts: object) -> None:
    path = folder / "text" / "make" / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_a_make_that_does_not_fit_is_refused(trained, config, own_data, tmp_path):
    copy = tmp_path / "copied"
    taken = ["--config", config(), *JOINED, f"model.multimodal.make.run={copy}"]
    for facts, words in (
        ({"store": "0" * 64}, ["store 000", "bring that store back"]),
        ({"width": 12}, ["width 12", "this model has 8"]),
        ({"modality": "image"}, ["modality image"]),
        ({"best_epoch": None}, ["has epochs [0, 1, 2, 3], none of them validated"]),
    ):
        shutil.copytree(trained, copy, dirs_exist_ok=True)
        spoilt(copy, **facts)
        one_line(cli("ctr", *taken), "the MAKE in", *words)
    shutil.copytree(trained, copy, dirs_exist_ok=True)
    one_line(cli("ctr", *taken, "model.multimodal.make.hidden=[6,4]"), "hidden [6, 4, 3]", "has [6, 4]")
    one_line(cli("ctr", *taken, "model.multimodal.make.epoch=9"), "not 9; set model.multimodal.make.epoch")
    (copy / "text" / "make" / "epoch-2.safetensors").write_bytes(b"torn")
    one_line(cli("ctr", *taken, "model.multimodal.make.epoch=2"), "epoch-2.safetensors' is not readable")
    (copy / "text" / "make" / "about.json").write_text("{")
    one_line(cli("ctr", *taken), "about.json' is not readable")
    assert not (tmp_path / "runs" / "run" / "run.json").exists(), "a refused run leaves nothing behind"
    one_line(cli("make", "--config", config(), "--modality", "txt"), "'txt' is not in the schema", "did you mean")


def test_other_vectors_are_refused(trained, config, own_data):
    shutil.rmtree(own_data / "frozen" / "text")
    vectors = np.random.default_rng(1).normal(size=(tiny.ITEMS, tiny.WIDTH))
    build_store(str(own_data / "frozen" / "text"), np.arange(tiny.ITEMS), vectors, dtype="float32")
    done = cli("ctr", "--config", config(own_data), *JOINED, f"model.multimodal.make.run={trained}")
    one_line(done, "has store", "bring that store back")


def figures(run: Path) -> list[tuple]:
    return [(r["step"], r["loss"]) for r in rows(run / "text")]


def test_a_make_run_that_stopped_goes_on_as_if_it_had_not(trained, tmp_path, monkeypatch):
    path, log = trained.parent.parent / "run.yaml", loop.Trainer._log
    again = [f"run.root={tmp_path}"]

    def stop(self, bar):
        log(self, bar)
        if self.state.step == 17:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_log", stop)
        assert cli("make", "--config", path, *MAKE, *again, "train.checkpoint_every=5").status == 130
    make(path, *again, "train.checkpoint_every=5", "run.resume=true")
    assert figures(tmp_path / "run-make") == figures(trained)
    for epoch in range(4):
        a, b = weights(trained, epoch), weights(tmp_path / "run-make", epoch)
        assert all(torch.equal(a[k], b[k]) for k in a), epoch
    ours, theirs = ((run / "text" / "make" / "about.json").read_text() for run in (tmp_path / "run-make", trained))
    assert ours == theirs


def test_a_make_run_killed_between_its_files_and_its_checkpoint_lists_no_epoch_twice(trained, tmp_path, monkeypatch):
    path, save = trained.parent.parent / "run.yaml", loop.Trainer._save
    again = [f"run.root={tmp_path}", "train.checkpoint_every=5"]

    def stop(run, best):
        if (run.state.epoch, run.state.batch) == (2, 0):
            raise KeyboardInterrupt
        save(run, best)

    def listed() -> list[int]:
        return [
            e["epoch"]
            for e in json.loads((tmp_path / "run-make" / "text" / "make" / "about.json").read_text())["epochs"]
        ]

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_save", stop)
        assert cli("make", "--config", path, *MAKE, *again).status == 130
    assert listed() == [0, 1, 2]
    make(path, *again, "run.resume=true")
    assert listed() == [0, 1, 2, 3]
    ours, theirs = ((run / "text" / "make" / "about.json").read_text() for run in (tmp_path / "run-make", trained))
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["replicated", "host", "row_wise"])
def test_two_ranks_equal_one(tmp_path, config, placement):
    """MAKE alone, then a CTR model that goes on training it, wherever the vectors live."""
    one, two = tiny.make_data(tmp_path / "one"), tiny.make_data(tmp_path / "two")
    tiny.write_split(one, "train", tiny.interleaved(tiny.rows(512, 0), 2, 16))
    plain = ["data.shuffle_rows=0", "model.dropout=0", *MAKE]

    def on(ranks: int, folder: Path, *arguments: object) -> None:
        settings = [f"data.batch_size={32 // ranks}", *plain, f"run.root={tmp_path / f'of-{ranks}'}"]
        if ranks == 2:
            settings += [f"model.multimodal.placement={placement}"]
            done = launch.finished(launch.start_launched_ranks(2, *arguments, "--config", config(folder), *settings))
        else:
            done = cli(*arguments, "--config", config(folder), *settings)
        assert done.status == 0, done.err[-6000:]

    runs = {1: one, 2: two}
    for ranks, folder in runs.items():
        on(ranks, folder, "make")
        joined = f"model.multimodal.make.run={tmp_path / f'of-{ranks}' / 'run-make'}"
        on(ranks, folder, "ctr", "model.multimodal.mode=simtier+make", joined)
    for name in ("run-make/text", "run"):
        ours, theirs = ([r["loss"] for r in rows(tmp_path / f"of-{ranks}" / name)] for ranks in runs)
        assert len(ours) == 32
        np.testing.assert_allclose(ours, theirs, rtol=3e-5, err_msg=name)
