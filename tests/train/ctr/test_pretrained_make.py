"""Weights of a MAKE that was trained alone: written after each epoch, taken by a model of the same shape and store."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from embeddings.errors import InputError
from recsys.models.make import MAKE
from tests.train.checkpoint.earlier import Runs, harmful
from tests.train.ctr.in_process import QUIET, build_task
from train.ctr.pretrained_make import export, load_makes

pytestmark = QUIET


@pytest.fixture
def task(config, ranks):
    """Builds the task of the small config with overrides."""
    return lambda *overrides: build_task(config(), ranks, *overrides)


@pytest.fixture
def exported(task) -> Path:
    """The folder of a run of MAKE alone that was written after 0, 1 and 2 epochs; all weights of epoch N are N."""
    alone = task("model.alone=text", "run.name=makes/text")
    folder = Path(alone.config.run_folder)
    folder.mkdir(parents=True)
    for epoch, (value, best) in enumerate([(None, None), (0.6, 1), (0.5, 1)]):
        with torch.no_grad():
            for parameter in make_of(alone).parameters():
                parameter.fill_(epoch)
        export(alone.config, alone.schema, alone.stores["text"], alone.trainable, epoch, value, best)
    return folder.parent


def make_of(task) -> MAKE:
    (make,) = (module for module in task.trainable.model.modules() if isinstance(module, MAKE))
    return make


def taken(task, run: Path, *overrides: str) -> set[float]:
    """The weights of the MAKE of a CTR model that takes those of ``run``."""
    built = task("model.multimodal.mode=make", f"model.multimodal.make.run={run}", *overrides)
    load_makes(built.config, built.schema, built.stores, built.trainable, built.ranks)
    return {value for parameter in make_of(built).parameters() for value in parameter.unique().tolist()}


def test_the_best_epochs_weights_are_taken_or_those_that_are_named(task, exported):
    assert taken(task, exported) == {1.0}
    assert taken(task, exported, "model.multimodal.make.epoch=2") == {2.0}
    about = json.loads((exported / "text" / "make" / "about.json").read_text())
    assert [(e["epoch"], e["auc"]) for e in about["epochs"]] == [(0, None), (1, 0.6), (2, 0.5)]


def test_the_pair_of_features_is_compared_where_it_is_known(task, exported):
    path = exported / "text" / "make" / "about.json"
    about = json.loads(path.read_text())
    assert (about["target"], about["history"]) == ("item", "history")
    path.write_text(json.dumps(about | {"history": "clicked"}))
    with pytest.raises(
        InputError, match=r"has history clicked, this model has history; set it back in schema\.yaml, or"
    ):
        taken(task, exported)
    path.write_text(json.dumps({key: about[key] for key in about if key not in ("target", "history")}))
    assert taken(task, exported) == {1.0}, "of an older version"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.multimodal.make.epoch=3", r"has epochs \[0, 1, 2\], not 3"),
        ("model.multimodal.make.hidden=[7]", r"has hidden .*, this model has \[7\]; set make.hidden to that"),
        ("model.multimodal.make.run=nowhere", "no MAKE of modality 'text' in 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_refused(task, exported, override, words):
    with pytest.raises(InputError, match=words):
        taken(task, exported, override)


def test_weights_that_an_earlier_version_wrote_are_taken(task, exported):
    folder = exported / "text" / "make"
    new = folder / "epoch-2.safetensors"
    torch.save({key: value + 5 for key, value in load_file(new).items()}, folder / "epoch-2.pt")
    assert taken(task, exported, "model.multimodal.make.epoch=2") == {2.0}, "today's goes before it"
    new.unlink()
    assert taken(task, exported, "model.multimodal.make.epoch=2") == {7.0}


def test_weights_that_would_run_something_do_not(task, exported, tmp_path):
    folder = exported / "text" / "make"
    (folder / "epoch-1.safetensors").rename(folder / "kept")
    torch.save({"a": Runs(tmp_path / "mark")}, folder / "epoch-1.pt")
    harmful(tmp_path / "mark")
    with pytest.raises(InputError, match=r"epoch-1.pt' is not readable \(it holds"):
        taken(task, exported)
    (folder / "epoch-1.pt").write_bytes(harmful(tmp_path / "mark"))
    with pytest.raises(InputError, match=r"epoch-1.pt' is not readable \(no file of torch.save"):
        taken(task, exported)
    assert not (tmp_path / "mark").exists()


def other_tensors(path: Path) -> None:
    save_file({**load_file(path), "more": torch.zeros(1)}, path)


def other_sizes(path: Path) -> None:
    save_file({key: value.flatten()[:1].clone() for key, value in load_file(path).items()}, path)


def other_numbers(path: Path) -> None:
    save_file({key: value.double() for key, value in load_file(path).items()}, path)


def huge(path: Path) -> None:
    os.truncate(path, 1 << 40)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [other_tensors, other_sizes, other_numbers, huge, a_pipe, Path.unlink])
def test_weights_of_something_else_are_refused(task, exported, spoil):
    spoil(exported / "text" / "make" / "epoch-1.safetensors")
    with pytest.raises(InputError, match=r"epoch-1.safetensors' is not readable \(.*\); train the MAKE again"):
        taken(task, exported)


def test_about_json_of_odd_types_is_refused(task, exported):
    path = exported / "text" / "make" / "about.json"
    about = json.loads(path.read_text())
    odd = [{key: value} for key in about for value in ({}, [{}], float("nan"), "x" * 5000) if key != "store"]
    odd += [{"store": 7}, {"epochs": [{}]}, {"epochs": [{"epoch": -1}]}, {"best_epoch": 10**40}, {"more": 1}]
    for change in odd:
        path.write_text(json.dumps({**about, **change}))
        with pytest.raises(InputError) as error:
            taken(task, exported)
        assert len(str(error.value)) < 1000 and "\n" not in str(error.value)
    for text in ("", "[", "[" * 100_000, "null", "7", "{}"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"about.json' is not readable \(.*\); train the MAKE again"):
            taken(task, exported)
