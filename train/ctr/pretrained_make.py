"""A MAKE that was trained alone, on disk: one file of weights an epoch, and what they are.

RUN/MODALITY/make/about.json   modality, checksum of the store, widths, validation by epoch, the best epoch
RUN/MODALITY/make/epoch-N.pt   weights after N epochs; 0 is how it was initialised
"""

import functools
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from embeddings.atomic_file import atomic_write
from embeddings.errors import InputError, first_line
from embeddings.frozen.store import FrozenStore
from embeddings.json_file import write_json
from recsys.models.config import MAKEConfig
from recsys.models.make import MAKE
from recsys.models.multimodal import ModalityFeatures
from train.ctr.config import Config
from train.ctr.trainable import Trainable
from train.distributed.ranks import Ranks, on_first


def export(
    config: Config, store: FrozenStore, trainable: Trainable, epoch: int, value: float | None, best: int | None
) -> None:
    """Write the weights after ``epoch`` epochs of a run whose model has a ``pretrained_modality``. Rank 0 calls it.

    Args:
        store: of that modality.
        value: its train.select metric on validation; None before the first epoch and where it was not validated.
        best: the best epoch so far.
    """
    name, folder = str(config.model.pretrained_modality), Path(config.run_folder) / "make"
    folder.mkdir(exist_ok=True)
    (make,) = (module for module in trainable.model.modules() if isinstance(module, MAKE))
    weights = {key: value.cpu() for key, value in make.state_dict().items()}
    with atomic_write(folder / f"epoch-{epoch}.pt") as out:
        torch.save(weights, out)
    about = folder / "about.json"
    before = json.loads(about.read_text())["epochs"] if epoch and about.is_file() else []
    facts = _facts(config.model.modality_config(name).make, name, store)
    epochs = [e for e in before if e["epoch"] < epoch] + [{"epoch": epoch, config.train.select: value}]
    write_json(about, {"format": 1, **facts, "best_epoch": best, "epochs": epochs})


def load_makes(config: Config, stores: Mapping[str, FrozenStore], trainable: Trainable, ranks: Ranks) -> None:
    """Fill the model's MAKEs from the runs that the config names. All ranks call it.

    Raises InputError where a run is not there or is not of this modality, store and shape.
    """
    if config.model.pretrained_modality is not None:
        return
    for module in trainable.model.modules():
        if not isinstance(module, ModalityFeatures) or module.make is None:
            continue
        name, make = module.modality, config.model.modality_config(module.modality).make
        if make.run is None:
            continue
        weights = on_first(ranks, functools.partial(_read, make, name, stores[name]))
        parameters = dict(module.make.named_parameters())
        assert parameters.keys() == weights.keys(), "the shapes were compared"
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(weights[key])


def _read(make: MAKEConfig, name: str, store: FrozenStore) -> dict[str, torch.Tensor]:
    folder = Path(str(make.run)) / name / "make"
    try:
        about = json.loads((folder / "about.json").read_text())
    except FileNotFoundError:
        raise InputError(
            f"no MAKE of modality '{name}' in '{make.run}': '{folder}' has no about.json; train it with python -m "
            f"train make --config FILE run.name={Path(str(make.run)).name}, or set its run to null to train it from "
            f"scratch"
        ) from None
    except ValueError as error:
        raise InputError(
            f"'{folder}/about.json' is not readable ({first_line(error)}); train the MAKE again"
        ) from error
    for key, wanted in _facts(make, name, store).items():
        if about[key] != wanted:
            raise InputError(
                f"the MAKE in '{folder}' has {key} {about[key]}, this model has {wanted}; {_FIXES[key]}, or train the "
                f"MAKE again"
            )
    there = [e["epoch"] for e in about["epochs"]]
    epoch = about["best_epoch"] if make.epoch is None else make.epoch
    if epoch not in there:
        what = "none of them validated" if epoch is None else f"not {epoch}"
        raise InputError(
            f"the MAKE in '{folder}' has epochs {there}, {what}; set model.multimodal.make.epoch to one of them, or "
            f"train on with run.resume=true and more train.epochs"
        )
    try:
        return torch.load(io.BytesIO((folder / f"epoch-{epoch}.pt").read_bytes()), weights_only=True)
    except Exception as error:  # torch and pickle raise many kinds
        raise InputError(
            f"'{folder}/epoch-{epoch}.pt' is not readable ({first_line(error)}); train the MAKE again"
        ) from error


_FIXES = {
    "modality": "name the right run",
    "store": "bring that store back",
    "width": "bring the store of that width back",
    "attention_hidden": "set make.attention_hidden to that",
    "hidden": "set make.hidden to that",
}


def _facts(make: MAKEConfig, name: str, store: FrozenStore) -> dict[str, Any]:
    return {
        "modality": name,
        "width": store.width,
        "store": store.checksum,
        "attention_hidden": make.attention_hidden,
        "hidden": make.hidden,
    }
