"""What the settings of architecture din make of it: layers, their widths, dropout."""

import pytest
import torch
from torch import nn

from recsys.models.din import DINArch
from recsys.models.din_config import DINConfig
from recsys.models.sparse import table_configs
from tests.train import tiny


def built(**settings) -> DINArch:
    config = DINConfig.model_validate({"multimodal": {"mode": "none"}, "over_arch": [6], **settings})
    return DINArch(tiny.SCHEMA, config, table_configs(tiny.SCHEMA, 4, {}), {})


def shapes(module: nn.Module) -> list[tuple[int, int]]:
    """(fan in, fan out) of its linear layers."""
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]


WIDTH = 1 + 4 + 4 + 4 + 4  # price, user, tags, item, history


def test_over_arch_has_the_widths_of_the_config():
    assert shapes(built(over_arch=[9, 5]).over) == [(WIDTH, 9), (9, 5), (5, 1)]


def test_attention_has_the_hidden_widths_of_the_config():
    attention = built(attention={"hidden": [7, 3]}).attention["history"]
    assert attention.query.out_features == 7 and shapes(attention.score) == [(7, 3), (3, 1)]


@pytest.mark.parametrize("softmax", [False, True])
def test_weights_of_a_history_sum_to_one_where_softmax_is_set(softmax):
    attention = built(attention={"softmax": softmax}).attention["history"]
    ones = torch.ones(3, 4)
    pooled = attention(torch.ones(1, 4), ones, torch.tensor([3]))
    assert torch.allclose(pooled, torch.ones(1, 4)) == softmax


def test_cross_layers_are_there_for_dcn_alone_with_their_number_and_rank():
    assert built(cross_layers=3, cross_rank=5).interaction.cross is None
    cross = built(interaction="dcn", cross_layers=3, cross_rank=5).interaction.cross
    assert [tuple(p.shape) for p in cross.W_kernels] == [(WIDTH, 5)] * 3
    assert shapes(built(interaction="dcn").over)[0] == (2 * WIDTH, 6)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_dropout_leaves_out_its_share_in_training(share):
    torch.manual_seed(0)
    over = built(dropout=share, over_arch=[400]).over
    features, seen = torch.randn(50, WIDTH), []
    over.layers[-1].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    over.train()(features)
    over.eval()(features)
    left_out = [float((hidden == 0).float().mean()) for hidden in seen]
    assert left_out[0] == pytest.approx(share, abs=0.02) and left_out[1] == 0
