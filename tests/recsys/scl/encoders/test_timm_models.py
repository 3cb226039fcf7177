"""Encoders around models of timm."""

import json

import pytest

from embeddings.errors import InputError
from tests.recsys.scl.encoders.small_encoders import assert_saved_and_loaded, contents, small


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
