"""Limits of what a folder's settings may build: no larger a network than its weights, nothing from the network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules import module as hooks

from embeddings.files.json_file import MOST_BYTES

Built = TypeVar("Built")

# What a network may have beyond its weights' file: decoders that are left out, tables that are computed.
_TIMES, _MORE_BYTES, _MORE_PARTS = 8, 256 << 20, 20_000
_SETTINGS = (".json", ".txt", ".model", ".jinja")
_BYTES_WITHOUT_WEIGHTS, _PARTS_WITHOUT_WEIGHTS = 64 << 30, 1_000_000


class TooLarge(ValueError):
    """Settings that build a larger network than the weights beside them are of."""


def build_within(folder: Path, build: Callable[[], Built]) -> Built:
    """What ``build`` gives. It is called twice, first on torch's meta device, where tensors take no memory.

    Raises TooLarge where that is larger than the safetensors files in ``folder`` give reason for, and whatever
    ``build`` raises.
    """
    check_within(folder, build)
    return build()


def check_within(folder: Path, build: Callable[[], Any]) -> None:
    """As ``build_within``, without building it in the end."""
    with torch.device("meta"), limited(folder):
        build()


@contextmanager
def limited(folder: Path) -> Iterator[None]:
    """Modules that are made meanwhile count, as do their parameters and buffers. Raises TooLarge from inside."""
    weights = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
    most_bytes = _TIMES * weights + _MORE_BYTES if weights else _BYTES_WITHOUT_WEIGHTS
    most_parts = weights // 1024 + _MORE_PARTS if weights else _PARTS_WITHOUT_WEIGHTS
    taken = parts = 0

    def count(_: nn.Module, name: str, value: Any) -> None:
        nonlocal taken, parts
        parts += 1
        if isinstance(value, torch.Tensor):
            taken += value.numel() * value.element_size()
        if taken > most_bytes or parts > most_parts:
            raise TooLarge(
                f"its settings make a network of more than {taken >> 20:,} MiB and {parts:,} parts, its weights are "
                f"{weights >> 20:,} MiB"
            )

    removable = [
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
        hooks.register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in removable:
            hook.remove()


def refuse_large_settings(folder: Path) -> None:
    """Raises TooLarge where a file of settings or of a vocabulary is larger than any: its readers take it whole."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _SETTINGS and path.stat().st_size > MOST_BYTES:
            raise TooLarge(f"'{path.name}' has more than {MOST_BYTES >> 20} MiB, more than any such file")


@contextmanager
def offline() -> Iterator[None]:
    """Nothing is asked of the hub meanwhile, whatever a folder's settings name."""
    from huggingface_hub import constants  # heavy, and there where timm or transformers is

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
