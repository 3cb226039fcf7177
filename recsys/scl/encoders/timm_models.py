"""timm image encoders: any vision model of timm, by name or local folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from embeddings.errors import InputError, first_line, nearest
from recsys.scl.config import ImageEncoderConfig
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.image_decoder import PictureDecoder
from recsys.scl.encoders.resnet import MEAN, STD, Pixels
from recsys.scl.encoders.torchvision_operators import importable_torchvision


def from_timm(config: ImageEncoderConfig, width: int) -> Encoder:
    """A new encoder around the model ``config.name``. Raises InputError where there is none, or no weights of it."""
    timm = _timm()
    local = Path(config.name).is_dir()
    if not local and not timm.is_model(config.name):
        hint = nearest(config.name, timm.list_models()) or "; timm.list_models() has all"
        raise InputError(f"model.image.name '{config.name}' is neither resnet, nor a model of timm, nor a folder{hint}")
    try:
        model = _model(f"local-dir:{config.name}" if local else config.name, config.size, config.pretrained)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
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
    """The encoder that ``about`` describes, with new weights."""
    _timm()
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
