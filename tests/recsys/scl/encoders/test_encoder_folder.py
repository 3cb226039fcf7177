"""Encoders of ours, saved and loaded as they were; folders that are none or damaged."""

import pytest
import torch

from embeddings.errors import InputError
from recsys.scl.encoders.encoder_folder import load_encoder, save_encoder
from tests.recsys.scl.encoders.small_encoders import assert_saved_and_loaded, contents, small


@pytest.mark.parametrize("kind", ["image", "text"])
def test_ours_are_what_was_saved(kind: str, tmp_path):
    assert_saved_and_loaded(small(kind), tmp_path / "encoder", contents(kind))


def test_saving_again_replaces(tmp_path):
    encoder = small("image")
    for _ in range(2):
        encoder.project.weight.data.add_(1)
        save_encoder(encoder, tmp_path / "encoder")
    assert torch.equal(load_encoder(tmp_path / "encoder").project.weight, encoder.project.weight)


def test_an_encoder_that_is_none_or_damaged_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no encoder: it has no encoder\.json"):
        load_encoder(tmp_path)
    save_encoder(small("image"), tmp_path / "encoder")
    weights = tmp_path / "encoder" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_encoder(tmp_path / "encoder")
