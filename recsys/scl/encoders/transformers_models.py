"""transformers text encoders: any model of transformers or sentence-transformers, by name or local folder."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from embeddings.errors import InputError, first_line, shown
from embeddings.files.json_file import read_json
from embeddings.validation import validated
from recsys.scl.config import TextEncoderConfig
from recsys.scl.encoders.encoder import Encoder, Undecodable
from recsys.scl.encoders.limits import build_within, limited, offline, refuse_large_settings
from recsys.scl.encoders.tokenizer import PADDING, padded
from recsys.scl.encoders.torchvision_operators import importable_torchvision
from recsys.scl.encoders.transformer import mean_of_tokens

_POOLING = "1_Pooling/config.json"  # of sentence-transformers; other folders have none, and mean is taken


class _Pooling(BaseModel):
    pooling_mode_cls_token: bool = False


@dataclass(frozen=True)
class ModelDecoder:
    """Token ids int64 [B, L] of the model's own tokenizer, -1 behind a text's end."""

    tokenizer: Any
    max_length: int

    def __call__(self, contents: Sequence[str]) -> torch.Tensor:
        for index, content in enumerate(contents):
            if not isinstance(content, str):
                raise Undecodable(index, f"{type(content).__name__} instead of text")
        if not contents:
            return padded([])  # which tokenizers of transformers refuse
        return padded(self.tokenizer(list(contents), truncation=True, max_length=self.max_length)["input_ids"])

    def save(self, folder: Path) -> None:
        """Write the tokenizer into ``folder``."""
        self.tokenizer.save_pretrained(folder)


class Backbone(nn.Module):
    """Token ids [B, L], -1 is padding, into features [B, H]: pooled as the model's folder says, mean or first token."""

    def __init__(self, model: Any, pooling: str) -> None:
        super().__init__()
        self.model, self._pooling = model, pooling

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        there = ids != PADDING
        x = self.model(input_ids=ids.clamp(min=0), attention_mask=there.long()).last_hidden_state
        return x[:, 0] if self._pooling == "cls" else mean_of_tokens(x, there)

    def save_settings(self, folder: Path) -> None:
        """Write the model's settings into ``folder``; its weights are saved with the encoder's."""
        self.model.config.save_pretrained(folder)


def from_transformers(config: TextEncoderConfig, width: int) -> Encoder:
    """A new encoder around the model ``config.name``. Raises InputError where it, or its weights, cannot be had."""
    models, folder = _transformers(), Path(config.name)
    local = folder.is_dir()
    try:
        with offline() if local else nullcontext(), limited(folder) if local else nullcontext():
            if local:
                refuse_large_settings(folder)
            settings = models.AutoConfig.from_pretrained(config.name, **_safely(local))
            _refuse_other_kinds(settings)
            tokenizer = models.AutoTokenizer.from_pretrained(config.name, **_safely(local))
            if config.pretrained:
                model = models.AutoModel.from_pretrained(
                    config.name, config=settings, use_safetensors=True, **_safely(local)
                )
            else:
                model = build_within(folder, lambda: _of_settings(settings))
            pooling = _pooling(config.name, local)
    except Exception as error:  # whatever transformers makes of what the folder, or the network, gives it
        raise InputError(
            f"model.text.name '{config.name}' cannot be had ({first_line(error)}); allowed: transformer, or a model of "
            f"transformers or sentence-transformers by name or folder, with safetensors weights and no code of its "
            f"own; without weights: model.text.pretrained=false"
        ) from error
    about = {"library": "transformers", "kind": "text", "width": width, "max_length": config.max_length}
    return _around(model, tokenizer, {**about, "pooling": pooling})


def rebuild_transformers(about: dict[str, Any], folder: Path) -> Encoder:
    """The encoder that ``about`` and ``folder``/backbone describe, with new weights."""
    models = _transformers()
    refuse_large_settings(folder / "backbone")
    with offline():
        settings = models.AutoConfig.from_pretrained(folder / "backbone", **_safely(local=True))
        _refuse_other_kinds(settings)
        model = _of_settings(settings)
        tokenizer = models.AutoTokenizer.from_pretrained(folder / "backbone", **_safely(local=True))
    return _around(model, tokenizer, about)


def _safely(local: bool) -> dict[str, Any]:
    """What every call of from_pretrained is given: no code that a model brings, no network for a folder."""
    return {"trust_remote_code": False, "local_files_only": local}


def _of_settings(settings: Any) -> Any:
    return _transformers().AutoModel.from_config(settings, trust_remote_code=False)


def _refuse_other_kinds(settings: Any) -> None:
    """Raises ValueError for models of pictures, which make parts of themselves by other models' names."""
    raw = settings.to_dict()
    for part in (raw, *(value for value in raw.values() if isinstance(value, dict))):
        kind = str(part.get("model_type", ""))
        if kind.startswith("timm") or any("backbone" in str(key) for key in part):
            raise ValueError(f"{shown(kind)} is no text encoder")


def _around(model: Any, tokenizer: Any, about: dict[str, Any]) -> Encoder:
    text = getattr(model, "encoder", None) if model.config.is_encoder_decoder else None
    backbone = Backbone(text if text is not None else model, about["pooling"])
    return Encoder("text", backbone, model.config.hidden_size, about["width"],
                   ModelDecoder(tokenizer, about["max_length"]), about)  # fmt: skip


def _pooling(name: str, local: bool) -> str:
    from transformers.utils import cached_file

    path = cached_file(name, _POOLING, local_files_only=local, _raise_exceptions_for_missing_entries=False)
    if path is None:
        return "mean"
    settings = validated(_Pooling, read_json(path, "settings"), str(path))
    return "cls" if settings.pooling_mode_cls_token else "mean"


def _transformers() -> Any:
    """The transformers package. Raises InputError where it is not installed."""
    if find_spec("transformers") is None:
        raise InputError(
            "model.text.name is a model of transformers, which is not installed: requirements/install.sh encoders"
        )
    importable_torchvision()
    import transformers

    return transformers
