"""timm image encoders: any vision model of timm, by name or local folder."""

from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from embeddings.errors import InputError, first_line, nearest, shown
from recsys.scl.config import ImageEncoderConfig
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.image_decoder import PictureDecoder
from recsys.scl.encoders.limits import check_within, offline
from recsys.scl.encoders.resnet import MEAN, STD, Pixels
from recsys.scl.encoders.torchvision_operators import importable_torchvision

LOCAL_WEIGHTS = "model.safetensors"


def from_timm(config: ImageEncoderConfig, width: int) -> Encoder:
    """A new encoder around the model ``config.name``. Raises InputError where there is none, or no weights of it."""
    timm = _timm()
    local = Path(config.name).is_dir()
    if not local and not timm.is_model(config.name):
        hint = nearest(config.name, timm.list_models()) or "; timm.list_models() has all"
        raise InputError(f"model.image.name '{config.name}' is neither resnet, nor a model of timm, nor a folder{hint}")
    if local and config.pretrained and not (Path(config.name) / LOCAL_WEIGHTS).is_file():
        raise InputError(
            f"model.image.name '{config.name}' has no {LOCAL_WEIGHTS}, and weights of other kinds hold pickles, which "
            f"may run anything; save them as that, or set model.image.pretrained=false"
        )
    try:
        with offline() if local else nullcontext():  # a folder may come from elsewhere
            name = f"local-dir:{config.name}" if local else config.name
            if local:
                check_within(Path(config.name), lambda: _model(name, config.size, False))
            model = _model(name, config.size, config.pretrained)
    except Exception as error:  # whatever timm makes of what the folder, or the network, gives it
        raise InputError(
            f"model.image.name '{config.name}' has no weights to begin with ({first_line(error)}); name a local "
            f"folder that timm wrote, or set model.image.pretrained=false"
        ) from error
    published = model.pretrained_cfg
    about = {"library": "timm", "kind": "image", "width": width, "size": config.size}
    about |= {"name": published.get("architecture") or config.name, "features": model.num_features}
    about |= {"mean": list(published.get("mean") or MEAN), "std": list(published.get("std") or STD)}
    return _around(model, about)


def rebuild_timm(about: dict[str, Any]) -> Encoder:
    """The encoder that ``about`` describes, with new weights. Raises InputError where timm has no such model."""
    if not _timm().is_model(about["name"]):
        raise InputError(f"timm has no model {shown(about['name'])}; is it of another version?")
    return _around(_model(about["name"], about["size"], False), about)


def _around(model: nn.Module, about: dict[str, Any]) -> Encoder:
    backbone = nn.Sequential(Pixels(about["mean"], about["std"]), model)
    size, width = about["size"], about["width"]
    with torch.no_grad():
        features = model.eval()(torch.zeros(1, 3, size, size)).size(1)  # num_features is not that of every model's head
    return Encoder("image", backbone, features, width, PictureDecoder(size), about)


def _model(name: str, size: int, pretrained: bool) -> Any:
    """A model of timm: a module with ``pretrained_cfg`` and ``num_features``, which not all classes declare."""
    import timm

    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, img_size=size)
    except TypeError:  # convolutions take pictures of any size, and no such argument
        return timm.create_model(name, pretrained=pretrained, num_classes=0)


def _timm() -> Any:
    """The timm package. Raises InputError where it is not installed."""
    if find_spec("timm") is None or find_spec("torchvision") is None:
        raise InputError("model.image.name is a model of timm, which is missing: requirements/install.sh encoders")
    importable_torchvision()
    import timm

    return timm
