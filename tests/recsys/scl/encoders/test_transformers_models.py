"""Encoders around models of transformers."""

import json

import pytest
import torch

from embeddings.errors import InputError
from recsys.scl.encoders.torchvision_operators import importable_torchvision
from tests.recsys.scl.encoders.small_encoders import TEXTS, assert_saved_and_loaded, small


@pytest.mark.parametrize("pooling", [None, "cls"])
def test_a_transformers_model_by_folder(pooling, tmp_path):
    importable_torchvision()
    transformers = pytest.importorskip("transformers")
    local = tmp_path / "local"
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "apple", "pear"])}
    local.mkdir()
    (local / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab_file=str(local / "vocab.txt")).save_pretrained(local)
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes))
    model.save_pretrained(local)
    if pooling:
        (local / "1_Pooling").mkdir()
        (local / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    encoder = small("text", name=str(local))
    torch.testing.assert_close(
        encoder.backbone.model.embeddings.word_embeddings.weight, model.embeddings.word_embeddings.weight
    )
    new = small("text", name=str(local), pretrained=False).backbone.model.embeddings.word_embeddings.weight
    assert new.shape == encoder.backbone.model.embeddings.word_embeddings.weight.shape
    assert not torch.equal(new, model.embeddings.word_embeddings.weight), "without its weights"
    assert encoder.about["pooling"] == (pooling or "mean")
    assert_saved_and_loaded(encoder, tmp_path / "encoder", TEXTS)


def test_a_transformers_model_that_is_none_is_refused(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="cannot be had"):
        small("text", name=str(tmp_path))
