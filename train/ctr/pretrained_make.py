"""A MAKE that was trained alone, on disk: one file of weights an epoch, and what they are.

RUN/MODALITY/make/about.json            modality, checksum of the store, widths, validation by epoch, the best epoch
RUN/MODALITY/make/epoch-N.safetensors   weights after N epochs; 0 is how it was initialised; epoch-N.pt of old
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field
from safetensors import SafetensorError
from safetensors.torch import load, save

from embeddings.errors import InputError, first_line, one_line, shown
from embeddings.files.atomic_file import atomic_write
from embeddings.files.json_file import read_json, write_json
from embeddings.frozen.vector_store import VectorStore
from embeddings.validation import Strict, validated
from recsys.models.config import MAKEConfig
from recsys.models.make import MAKE
from recsys.models.multimodal import ModalityFeatures
from recsys.schema import Schema
from train.checkpoint.torch_archive import read_tensors
from train.ctr.config import Config
from train.ctr.trainable import Trainable
from train.distributed.ranks import Ranks, on_first

ABOUT = "about.json"
_MOST_AROUND = 1 << 16  # bytes of a file, or of a tensor in it, besides its numbers


def export(
    config: Config,
    schema: Schema,
    store: VectorStore,
    trainable: Trainable,
    epoch: int,
    value: float | None,
    best: int | None,
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
    with atomic_write(folder / f"epoch-{epoch}.safetensors") as out:
        out.write(save(weights))
    about = folder / ABOUT
    before = _read_about(folder).epochs if epoch and about.is_file() else []
    facts = _facts(config.model.modality_config(name).make, name, schema, store)
    epochs = [e.model_dump() for e in before if e.epoch < epoch] + [{"epoch": epoch, config.train.select: value}]
    write_json(about, {"format": 1, **facts, "best_epoch": best, "epochs": epochs})


class _Epoch(BaseModel, extra="allow"):
    epoch: Annotated[int, Field(ge=0)]


class _About(Strict):
    """about.json; the names of its keys are those of ``_facts``."""

    format: Literal[1] = 1
    modality: str
    target: str | None = None  # older ones do not say which features were paired
    history: str | None = None
    width: int
    store: str
    attention_hidden: int
    hidden: list[int]
    best_epoch: int | None
    epochs: list[_Epoch]


def _read_about(folder: Path) -> _About:
    """Raises InputError where it is not readable, and FileNotFoundError."""
    try:
        return validated(_About, read_json(folder / ABOUT, "file"), ABOUT)
    except InputError as error:
        raise InputError(f"'{folder / ABOUT}' is not readable ({first_line(error)}); train the MAKE again") from None


def load_makes(
    config: Config, schema: Schema, stores: Mapping[str, VectorStore], trainable: Trainable, ranks: Ranks
) -> None:
    """Fill the model's MAKEs from the runs that the config names. All ranks call it.

    Raises InputError where a run is not there or is not of this modality, pair of features, store and shape.
    """
    if config.model.pretrained_modality is not None:
        return
    for module in trainable.model.modules():
        if not isinstance(module, ModalityFeatures) or module.make is None:
            continue
        name, make = module.modality, config.model.modality_config(module.modality).make
        if make.run is None:
            continue
        parameters = dict(module.make.named_parameters())
        sizes = {key: parameter.size() for key, parameter in parameters.items()}
        weights = on_first(ranks, functools.partial(_read, make, name, schema, stores[name], sizes))
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(weights[key])


def _read(
    make: MAKEConfig, name: str, schema: Schema, store: VectorStore, sizes: dict[str, torch.Size]
) -> dict[str, torch.Tensor]:
    folder = Path(str(make.run)) / name / "make"
    try:
        about = _read_about(folder)
    except FileNotFoundError:
        raise InputError(
            f"no MAKE of modality '{name}' in '{make.run}': '{folder}' has no about.json; train it with python -m "
            f"train make --config FILE run.name={Path(str(make.run)).name}, or set its run to null to train it from "
            f"scratch"
        ) from None
    for key, wanted in _facts(make, name, schema, store).items():
        if getattr(about, key) not in (wanted, None):
            raise InputError(
                f"the MAKE in '{folder}' has {key} {one_line(str(getattr(about, key)), 100)}, this model has {wanted}; "
                f"{_FIXES[key]}, or train the MAKE again"
            )
    there = [e.epoch for e in about.epochs]
    epoch = about.best_epoch if make.epoch is None else make.epoch
    if epoch not in there:
        what = "none of them validated" if epoch is None else f"not {epoch}"
        raise InputError(
            f"the MAKE in '{folder}' has epochs {shown(there)}, {what}; set model.multimodal.make.epoch to one of "
            f"them, or train on with run.resume=true and more train.epochs"
        )
    return _read_weights(folder / f"epoch-{epoch}.safetensors", sizes)


def _read_weights(path: Path, sizes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Raises InputError where the file does not hold float32 tensors of ``sizes``."""
    if not path.exists() and path.with_suffix(".pt").exists():
        path = path.with_suffix(".pt")
    try:
        if not path.is_file():
            raise ValueError("it is missing, or no file")
        most = _MOST_AROUND + sum(_MOST_AROUND + 4 * size.numel() for size in sizes.values())
        if path.stat().st_size > most:
            raise ValueError("it is larger than this model's MAKE")
        data = path.read_bytes()
        weights = read_tensors(data) if path.suffix == ".pt" else load(data)
        if {key: (value.size(), value.dtype) for key, value in weights.items()} != {
            key: (size, torch.float32) for key, size in sizes.items()
        }:
            raise ValueError("it holds other tensors than this model's MAKE")
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"'{path}' is not readable ({first_line(error)}); train the MAKE again") from error
    return weights


_FIXES = {
    "modality": "name the right run",
    "target": "set it back in schema.yaml",
    "history": "set it back in schema.yaml",
    "store": "bring that store back",
    "width": "bring the store of that width back",
    "attention_hidden": "set make.attention_hidden to that",
    "hidden": "set make.hidden to that",
}


def _facts(make: MAKEConfig, name: str, schema: Schema, store: VectorStore) -> dict[str, Any]:
    return {
        "modality": name,
        "target": schema.modalities[name].target,
        "history": schema.modalities[name].history,
        "width": store.width,
        "store": store.checksum,
        "attention_hidden": make.attention_hidden,
        "hidden": make.hidden,
    }
