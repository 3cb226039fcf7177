"""Weights of a MAKE that was trained alone: written after each epoch, taken by a model of the same shape and store."""

import json
from pathlib import Path

import pytest
import torch

from embeddings.errors import InputError
from recsys.models.make import MAKE
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
        export(alone.config, alone.stores["text"], alone.trainable, epoch, value, best)
    return folder.parent


def make_of(task) -> MAKE:
    (make,) = (module for module in task.trainable.model.modules() if isinstance(module, MAKE))
    return make


def taken(task, run: Path, *overrides: str) -> set[float]:
    """The weights of the MAKE of a CTR model that takes those of ``run``."""
    built = task("model.multimodal.mode=make", f"model.multimodal.make.run={run}", *overrides)
    load_makes(built.config, built.stores, built.trainable, built.ranks)
    return {value for parameter in make_of(built).parameters() for value in parameter.unique().tolist()}


def test_the_best_epochs_weights_are_taken_or_those_that_are_named(task, exported):
    assert taken(task, exported) == {1.0}
    assert taken(task, exported, "model.multimodal.make.epoch=2") == {2.0}
    about = json.loads((exported / "text" / "make" / "about.json").read_text())
    assert [(e["epoch"], e["auc"]) for e in about["epochs"]] == [(0, None), (1, 0.6), (2, 0.5)]


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
