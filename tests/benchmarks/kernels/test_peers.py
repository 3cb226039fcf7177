"""The kernels' peers give the right answer."""

import pytest
import torch

from benchmarks.kernels import peers
from embeddings.kernels.registry import IMPLEMENTATIONS


def draw_data(targets: int = 7, length: int = 11) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    table = torch.nn.functional.normalize(torch.randn(60, 16, generator=draw), dim=1)
    target, history = (torch.randint(0, 60, shape, generator=draw) for shape in ((targets,), (targets, length)))
    return table, target, history, torch.arange(targets + 1) * length


@pytest.mark.parametrize("name", ["simtier_eager", "simtier_onehot", "simtier_fbgemm"])
def test_simtiers_peers_count_right(name: str) -> None:
    table, target, history, offsets = draw_data()
    wanted = IMPLEMENTATIONS["simtier"]["reference"](table, None, target, history.view(-1), offsets, None, 13)
    assert torch.equal(getattr(peers, name)(table, target, history, 13), wanted)


@pytest.mark.parametrize("name", ["make_eager", "make_fbgemm"])
def test_makes_peers_attend_right(name: str) -> None:
    table, target, history, offsets = draw_data()
    draw = torch.Generator().manual_seed(1)
    parameters = [torch.randn(s, generator=draw) for s in ((5, 64), (5,), (5,), (5,))]
    wanted = IMPLEMENTATIONS["make_attention"]["reference"](
        table, None, target, history.view(-1), offsets, None, *parameters
    )
    torch.testing.assert_close(getattr(peers, name)(table, target, history, *parameters), wanted, rtol=1e-4, atol=1e-4)
