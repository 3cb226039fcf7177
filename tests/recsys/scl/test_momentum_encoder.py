"""The momentum encoder: how it follows, and what its keys depend on."""

import pytest
import torch

from recsys.scl.config import ImageEncoderConfig, SCLModelConfig
from recsys.scl.encoders.build import build_encoder
from recsys.scl.momentum_encoder import MomentumEncoder
from recsys.scl.towers import Towers


@pytest.fixture
def towers() -> Towers:
    torch.manual_seed(0)
    config = SCLModelConfig(width=4, image=ImageEncoderConfig(size=16, channels=[4]))
    return Towers(build_encoder("image", config), None, 0.07)


def pictures(rows: int) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(rows))


def moved(towers: Towers) -> None:
    """Other weights and running statistics, as a step of training leaves them."""
    towers(pictures(5), pictures(5), pictures(2))
    with torch.no_grad():
        for weight in towers.parameters():
            weight += 0.1


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_weights_and_running_statistics_follow_as_moving_averages(towers):
    momentum = MomentumEncoder(towers, 0.75)
    before = state(towers)
    moved(towers)
    momentum.ema_update(towers)
    changed = 0
    for name, value in state(momentum.towers).items():
        new = towers.state_dict()[name]
        changed += bool((new != before[name]).any())
        wanted = 0.75 * before[name] + 0.25 * new if value.is_floating_point() else new
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6)
    assert changed > 10, "statistics too"


def test_at_once_is_a_copy(towers):
    momentum = MomentumEncoder(towers, 0.75)
    moved(towers)
    momentum.ema_update(towers, copy_weights=True)
    for name, value in momentum.towers.state_dict().items():
        assert torch.equal(value, towers.state_dict()[name])


def test_a_key_depends_on_its_item_alone(towers):
    moved(towers)
    momentum = MomentumEncoder(towers, 0.75)
    items = pictures(6)
    together, alone = momentum.keys(items), momentum.keys(items[:1])
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
    assert not together.requires_grad and (together.norm(dim=1) - 1).abs().max() < 1e-5
