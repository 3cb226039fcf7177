"""Encoders around models of transformers."""

import json
from pathlib import Path

import pytest
import torch

from embeddings.errors import InputError
from recsys.scl.encoders.encoder_folder import load_encoder, save_encoder
from recsys.scl.encoders.torchvision_operators import importable_torchvision
from tests.recsys.scl.encoders.small_encoders import TEXTS, assert_saved_and_loaded, small
from tests.train.checkpoint.earlier import harmful

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def bert(local: Path):
    """A small model, saved into ``local`` with its tokenizer."""
    importable_torchvision()
    transformers = pytest.importorskip("transformers")
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "apple", "pear"])}
    local.mkdir()
    (local / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab_file=str(local / "vocab.txt")).save_pretrained(local)
    torch.manual_seed(1)
    model = transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **SIZES))
    model.save_pretrained(local)
    return model


@pytest.mark.parametrize("pooling", [None, "cls"])
def test_a_transformers_model_by_folder(pooling, tmp_path):
    local = tmp_path / "local"
    model = bert(local)
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


CODE = "import pathlib\npathlib.Path({mark!r}).touch()\n"


def plant(folder: Path, mark: Path, **changes: object) -> None:
    """Have the settings in ``folder`` name code of their own, which makes ``mark``, and hold ``changes``."""
    (folder / "own.py").write_text(CODE.format(mark=str(mark)))
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        own = {"AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoTokenizer": ["own.T", "own.T"]}
        (folder / name).write_text(json.dumps({**settings, "auto_map": own, **changes}))


@pytest.mark.parametrize("kind", ["bert", "no_such_model"])
def test_code_of_a_folder_is_never_run(kind, tmp_path, asked):
    """Where transformers knows the model it takes its own code, and refuses what it does not know; it never asks."""
    bert(tmp_path / "local")
    save_encoder(small("text", name=str(tmp_path / "local")), tmp_path / "encoder")
    plant(tmp_path / "local", tmp_path / "mark", model_type=kind)
    plant(tmp_path / "encoder" / "backbone", tmp_path / "mark", model_type=kind)
    if kind == "bert":
        assert load_encoder(tmp_path / "encoder").kind == "text"
        assert small("text", name=str(tmp_path / "local")).kind == "text"
    else:
        with pytest.raises(InputError, match="is damaged"):
            load_encoder(tmp_path / "encoder")
        for pretrained in (True, False):
            with pytest.raises(InputError, match=r"cannot be had \(.*no code of its own"):
                small("text", name=str(tmp_path / "local"), pretrained=pretrained)
    assert not (tmp_path / "mark").exists() and not asked


def test_pickled_weights_are_refused(tmp_path):
    model, weights = bert(tmp_path / "local"), tmp_path / "local" / "pytorch_model.bin"
    (tmp_path / "local" / "model.safetensors").unlink()
    for harmless in (False, True):
        if harmless:
            torch.save(model.state_dict(), weights)
        else:
            weights.write_bytes(harmful(tmp_path / "mark"))
        with pytest.raises(InputError, match=r"cannot be had \(.*with safetensors weights"):
            small("text", name=str(tmp_path / "local"))
        assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 10**9},
        {"num_hidden_layers": 10**9},
        {"vocab_size": 10**12},
        {"max_position_embeddings": 10**12},
        {"hidden_size": -1},
        {"hidden_size": "x"},
        {"hidden_size": None},
        {"num_attention_heads": 0},
        {"model_type": "timm_wrapper", "architecture": "hf-hub:timm/resnet18.a1_in1k"},
        {"model_type": "timm_backbone", "backbone": "resnet18", "use_pretrained_backbone": True},
        {"model_type": "detr", "backbone": "resnet50", "use_pretrained_backbone": True, "use_timm_backbone": True},
        {"model_type": ["bert"]},
    ],
)
def test_settings_of_a_folder_ask_for_nothing_and_take_no_more_than_its_weights(tmp_path, asked, changes):
    bert(tmp_path / "local")
    save_encoder(small("text", name=str(tmp_path / "local")), tmp_path / "encoder")
    for path in (tmp_path / "encoder" / "backbone" / "config.json", tmp_path / "local" / "config.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match="is damaged") as error:
        load_encoder(tmp_path / "encoder")
    assert len(str(error.value)) < 1000
    for pretrained in (True, False):
        with pytest.raises(InputError, match="cannot be had") as error:
            small("text", name=str(tmp_path / "local"), pretrained=pretrained)
        assert len(str(error.value)) < 1000
    assert not asked


@pytest.mark.parametrize("content", ["[", "[]", "7", '{"pooling_mode_cls_token": []}'])
def test_pooling_settings_of_odd_types(tmp_path, content):
    bert(tmp_path / "local")
    (tmp_path / "local" / "1_Pooling").mkdir()
    (tmp_path / "local" / "1_Pooling" / "config.json").write_text(content)
    with pytest.raises(InputError, match="cannot be had"):
        small("text", name=str(tmp_path / "local"))


def test_a_name_that_is_typed_is_asked_for_without_its_code(asked, monkeypatch):
    """At the hub, as today; no code that comes with it is run, and nobody is asked whether it may."""
    transformers, given = pytest.importorskip("transformers"), []
    whole = transformers.AutoConfig.from_pretrained

    def noted(name, **settings):
        given.append((name, settings))
        return whole(name, **settings)

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", noted)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # between its tries
    with pytest.raises(InputError, match=r"model\.text\.name 'nobody/has-this' cannot be had"):
        small("text", name="nobody/has-this")
    assert given == [("nobody/has-this", {"trust_remote_code": False, "local_files_only": False})]
    assert asked
