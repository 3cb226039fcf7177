"""InteractionArch and OverArch against their formulas."""

import pytest
import torch
from torch import nn

from recsys.models.interaction import InteractionArch, OverArch

FLAT = torch.randn(5, 8)


def test_concat_is_the_features_side_by_side():
    arch = InteractionArch(8)
    assert arch.width == 8 and not list(arch.parameters())
    assert arch(FLAT) is FLAT


def test_dcn_is_the_low_rank_cross_beside_the_concatenation():
    """DCN V2, eq. 2: x_{l + 1} = x_0 * (W (V x_l) + b) + x_l."""
    arch = InteractionArch(8, cross_layers=3, cross_rank=2)
    for bias in arch.cross.bias:
        nn.init.normal_(bias)
    x = flat = FLAT
    for v, w, b in zip(arch.cross.V_kernels, arch.cross.W_kernels, arch.cross.bias, strict=True):
        assert v.shape == (2, 8)
        x = flat * ((x @ v.T) @ w.T + b) + x
    assert arch.width == 16
    torch.testing.assert_close(arch(flat), torch.cat([flat, x], dim=1))


@pytest.mark.parametrize("widths", [[6], [6, 5, 4]])
def test_over_arch_is_an_mlp_to_one_logit(widths):
    arch = OverArch(8, widths)
    x = torch.randn(5, 8)
    wanted, linears = x, [layer for layer in arch.layers if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linears] == [*widths, 1]
    for layer in linears[:-1]:
        wanted = wanted @ layer.weight.T + layer.bias
        wanted = wanted * torch.sigmoid(wanted)
    wanted = wanted @ linears[-1].weight.T + linears[-1].bias
    assert arch(x).shape == (5,)
    torch.testing.assert_close(arch(x), wanted[:, 0])


def test_dropout_is_only_there_when_asked_and_only_in_training():
    assert not any(isinstance(m, nn.Dropout) for m in OverArch(8, [64]).modules())
    arch, x = OverArch(8, [64], dropout=0.5), torch.randn(5, 8)
    assert not torch.equal(arch(x), arch(x))
    arch.eval()
    assert torch.equal(arch(x), arch(x))
