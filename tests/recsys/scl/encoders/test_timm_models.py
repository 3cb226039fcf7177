"""Encoders around models of timm."""

import json

import pytest
import torch
from safetensors.torch import save_file

from embeddings.errors import InputError
from recsys.scl.encoders.encoder_folder import load_encoder, save_encoder
from tests.recsys.scl.encoders.small_encoders import assert_saved_and_loaded, contents, small
from tests.train.checkpoint.earlier import harmful


def test_a_timm_model_by_name_and_by_folder(tmp_path):
    encoder = small("image", name="resnet10t", pretrained=False, size=64)
    assert_saved_and_loaded(encoder, tmp_path / "encoder", contents("image"))
    local = tmp_path / "local"
    local.mkdir()
    (local / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "num_classes": 0, "pretrained_cfg": {}})
    )
    encoder = small("image", name=str(local), pretrained=False)
    assert_saved_and_loaded(encoder, tmp_path / "other", contents("image"))


def test_a_timm_model_that_is_none_is_refused():
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        small("image", name="resnet18x")


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "hf-hub:timm/resnet18.a1_in1k"},
        {"architecture": "local-dir:/tmp"},
        {"architecture": "test_resnet", "pretrained_cfg": {"url": "http://example.com/x.pth", "source": "timm"}},
        {"architecture": "test_resnet", "pretrained_cfg": {"hf_hub_id": "timm/x", "source": "hf-hub"}},
        {"architecture": "test_resnet", "pretrained_cfg": {"custom_load": "hf"}},
        {"architecture": "test_resnet", "pretrained_cfg": 7},
        {"architecture": "vit_tiny_patch16_224", "model_args": {"embed_dim": 10**9}},
        {"architecture": "vit_tiny_patch16_224", "model_args": {"depth": 10**9, "embed_dim": 12}},
        {"architecture": "test_resnet", "model_args": {"pretrained_cfg": {"url": "http://example.com"}}},
        {"architecture": "test_resnet", "model_args": {"pretrained_cfg_overlay": {"url": "http://example.com"}}},
        {"architecture": 7},
        {},
        [],
    ],
)
def test_a_local_folder_asks_for_nothing_and_takes_no_more_than_its_weights(tmp_path, asked, settings):
    (tmp_path / "config.json").write_text(json.dumps(settings))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    for pretrained in (True, False) if "model_args" not in settings else (True,):
        try:
            small("image", name=str(tmp_path), pretrained=pretrained)
        except InputError as error:
            assert len(str(error)) < 1000
    assert not asked


def test_pickled_weights_of_a_local_folder_are_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    (tmp_path / "pytorch_model.bin").write_bytes(harmful(tmp_path / "mark"))
    with pytest.raises(InputError, match=r"has no model\.safetensors, and weights of other kinds hold pickles"):
        small("image", name=str(tmp_path))
    assert not (tmp_path / "mark").exists()


def test_a_saved_encoder_of_a_name_that_timm_has_not(tmp_path, asked):
    save_encoder(small("image", name="test_resnet", pretrained=False), tmp_path / "encoder")
    about = json.loads((tmp_path / "encoder" / "encoder.json").read_text())
    for name, words in (("hf-hub:timm/resnet18", "encoder.json: name"), ("no_such", "timm has no model 'no_such'"),
                        ("eva02_enormous_patch14_clip_224", "make a network of more than")):  # fmt: skip
        (tmp_path / "encoder" / "encoder.json").write_text(json.dumps({**about, "name": name}))
        with pytest.raises(InputError, match=words):
            load_encoder(tmp_path / "encoder")
    assert not asked
