"""What a folder's settings may build, by the size of its weights; nothing from the network meanwhile."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from recsys.scl.encoders.limits import TooLarge, build_within, offline, refuse_large_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights.safetensors").write_bytes(bytes(1000))
    return tmp_path


def test_a_network_of_the_size_of_its_weights_is_built(folder):
    built = build_within(folder, lambda: nn.Linear(10, 20))
    assert built.weight.size() == (20, 10) and built.weight.device.type == "cpu"


class Table(nn.Module):
    """A table that is computed, and no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(1 << 40), persistent=False)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(10**6, 10**6),
        lambda: nn.Embedding(10**12, 4),
        lambda: nn.Sequential(*(nn.Linear(1, 1) for _ in range(10**9))),
        lambda: nn.ModuleList(nn.Identity() for _ in range(10**6)),
        Table,
    ],
)
def test_a_larger_one_is_refused_before_it_takes_memory(folder, build):
    with pytest.raises(TooLarge, match="its weights are 0 MiB"):
        build_within(folder, build)
    assert build_within(folder, lambda: nn.Linear(2, 2)) is not None, "nothing of the limit is left"


def test_without_weights_there_is_a_limit_too(tmp_path):
    assert build_within(tmp_path, lambda: nn.Linear(10, 10)) is not None
    with pytest.raises(TooLarge):
        build_within(tmp_path, lambda: nn.Linear(10**6, 10**6))


def test_offline_is_for_a_while():
    hub = pytest.importorskip("huggingface_hub")
    before = hub.constants.HF_HUB_OFFLINE
    with offline():
        with pytest.raises(hub.errors.OfflineModeIsEnabled):
            hub.HfApi().model_info("gpt2")
    assert hub.constants.HF_HUB_OFFLINE == before


def test_settings_of_more_bytes_than_any_are_refused_unread(folder):
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").touch()
    os.truncate(folder / "pytorch_model.bin", 1 << 40)  # sparse, and read by nobody
    refuse_large_settings(folder)
    (folder / "tokenizer_config.json").touch()
    os.truncate(folder / "tokenizer_config.json", 3 << 30)
    with pytest.raises(TooLarge, match=r"'tokenizer_config\.json' has more than 64 MiB"):
        refuse_large_settings(folder)
