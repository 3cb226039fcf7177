"""The dense part's figures against the model itself and against what torch counts in a real step."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from recsys.models.arch_config import arch_config
from recsys.models.config import ArchConfig
from recsys.models.din import DINArch
from recsys.models.din_config import DINConfig
from recsys.models.model_cost import model_cost
from recsys.models.registry import arch_class
from recsys.models.sparse import table_configs
from recsys.schema import Schema
from tests.train import tiny

LENGTHS = {"tags": 1.5, "history": 6.0}
CONFIGS = [
    {},
    {"interaction": "dcn", "over_arch": [32]},
    {"multimodal": {"mode": "vector"}, "embedding_dim": 8},
    {"multimodal": {"mode": "simscore"}, "attention": {"hidden": [12, 6]}},
    {"multimodal": {"mode": "simtier+make", "sa_ta": True}},
    {"multimodal": {"mode": "none"}, "arch": "make", "modality": "text"},
]


class Width:
    width = tiny.WIDTH


def counted(config: ArchConfig, schema: Schema = tiny.SCHEMA):
    tables = table_configs(schema, config.embedding_dim, LENGTHS)
    return tables, model_cost(schema, config, tables, LENGTHS, {"text": tiny.WIDTH})


@pytest.mark.parametrize("raw", CONFIGS)
def test_parameters(raw: dict) -> None:
    config = arch_config(raw)
    tables, cost = counted(config)
    model = arch_class(config.arch)(tiny.SCHEMA, config, tables, {"text": Width()})
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert all(p.device.type == "cpu" for p in model.parameters()), "planning left torch on the meta device"


def test_flops_of_the_attention_and_the_last_layers():
    """torch counts the products of a step: all of ours but biases, and the gradient of the first layers' inputs."""
    config = DINConfig()
    tables, cost = counted(config)
    model = DINArch(tiny.SCHEMA, config, tables, {"text": Width()})
    batch, length = 32, int(LENGTHS["history"])
    width = tables[0].embedding_dim
    with FlopCounterMode(display=False) as counter:
        query = torch.randn(batch, width, requires_grad=True)
        behaviours = torch.randn(batch * length, width, requires_grad=True)
        pooled = model.attention["history"](query, behaviours, torch.full((batch,), length))
        flat = torch.randn(batch, model.interaction.width, requires_grad=True)
        (pooled.sum() + model.over(flat).sum()).backward()
    assert batch * cost.flops == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_a_frozen_make_has_no_backward():
    """Of what MAKE adds, a third; what its outputs add to the last layers is trained as before."""
    make = {"mode": "make", "make": {"run": "x"}}
    trained, frozen = (
        counted(arch_config({"multimodal": {**make, "make": {"run": "x", "frozen": f}}}))[1] for f in (False, True)
    )
    alone = counted(arch_config({"multimodal": make, "arch": "make", "modality": "text"}))[1]
    assert trained.parameters == frozen.parameters
    assert trained.flops - frozen.flops == pytest.approx(alone.flops * 2 / 3)


def test_a_forward_alone_keeps_the_features_and_one_part_at_a_time():
    config = arch_config({"multimodal": {"mode": "simscore"}})
    tables = table_configs(tiny.SCHEMA, 16, LENGTHS)
    short, long = (model_cost(tiny.SCHEMA, config, tables, {"history": n}, {"text": 8}) for n in (1000.0, 1010.0))
    attention = 2 * (2 * 17 + 36 + 1)  # its pair layer's input and output, the score; twice each
    assert long.eval_activations - short.eval_activations == 10 * attention
    assert long.activations - short.activations == 10 * (attention + 1), "and the cosines"
    over = 2 * sum(m.out_features for m in DINArch(tiny.SCHEMA, config, tables, {"text": Width()}).over.modules()
                   if isinstance(m, torch.nn.Linear))  # fmt: skip
    assert short.activations - short.eval_activations == pytest.approx(over + 1000)


def test_longer_histories_cost_more():
    config = DINConfig()
    tables = table_configs(tiny.SCHEMA, 16, LENGTHS)
    short, long = (model_cost(tiny.SCHEMA, config, tables, {"history": n}, {"text": 8}) for n in (10.0, 20.0))
    assert long.parameters == short.parameters
    assert long.flops - short.flops == 10 * 6 * (2 * 16 * 36 + 36)  # the pair layer and the score
    assert long.activations - short.activations == 10 * 2 * (2 * 16 + 36 + 1)  # SimTier leaves nothing of a behaviour
    assert long.batch_bytes - short.batch_bytes == 8 * (10 + 10)  # ids, and rows of the frozen table
