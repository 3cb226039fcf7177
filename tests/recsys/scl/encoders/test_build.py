"""What the settings of an encoder make of it: sizes, layers, weights to begin with."""

import pytest
import torch
from torch import nn

from recsys.scl.encoders.resnet import Block
from recsys.scl.encoders.torchvision_operators import importable_torchvision
from tests.recsys.scl.encoders.small_encoders import TEXTS, contents, small


def test_vectors_have_the_width_of_the_config():
    for kind in ("image", "text"):
        encoder = small(kind)
        assert encoder(encoder.decoder(contents(kind))).shape == (3, 12)


def test_a_resnet_has_its_size_channels_and_blocks():
    encoder = small("image", size=48, channels=[8, 16, 24], blocks=2)
    assert encoder.decoder(contents("image")).shape == (3, 3, 48, 48)
    blocks = [m for m in encoder.modules() if isinstance(m, Block)]
    assert [b.second[0].out_channels for b in blocks] == [8, 8, 16, 16, 24, 24]
    assert encoder.project.in_features == 24


def test_a_transformer_has_its_width_layers_and_heads():
    encoder = small("text", hidden=24, heads=3, layers=4)
    layers = encoder.backbone.layers.layers
    assert encoder.project.in_features == 24 and len(layers) == 4
    assert {(layer.self_attn.embed_dim, layer.self_attn.num_heads) for layer in layers} == {(24, 3)}


@pytest.mark.parametrize("length", [3, 5])
def test_texts_are_cut_at_the_length_of_the_config(length):
    encoder = small("text", max_length=length)
    assert encoder.decoder(TEXTS).shape == (3, length) and encoder.backbone.places.num_embeddings == length


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_dropout_is_that_of_every_layer_in_training_alone(share):
    encoder = small("text", dropout=share)
    layers = encoder.backbone.layers.layers
    assert {m.p for m in encoder.modules() if isinstance(m, nn.Dropout)} == {share}
    assert {layer.self_attn.dropout for layer in layers} == {share}
    ids = encoder.decoder(TEXTS)
    assert torch.equal(encoder.train()(ids), encoder(ids)) == (share == 0)
    assert torch.equal(encoder.eval()(ids), encoder(ids))


@pytest.mark.parametrize("pretrained", [True, False])
def test_weights_of_a_timm_model_are_wanted_where_the_config_says_so(monkeypatch, pretrained):
    importable_torchvision()
    timm = pytest.importorskip("timm")
    wanted, create = [], timm.create_model

    def created(name, pretrained, **more):
        wanted.append(pretrained)
        return create(name, pretrained=False, **more)

    monkeypatch.setattr(timm, "create_model", created)
    small("image", name="resnet10t", pretrained=pretrained)
    assert set(wanted) == {pretrained}
