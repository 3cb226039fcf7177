"""Encoders: unit vectors of every kind, saved and loaded as they were, and what cannot be had or decoded."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from embeddings.errors import InputError
from recsys.scl.config import ImageEncoderConfig, SCLModelConfig, TextEncoderConfig
from recsys.scl.encoders import Encoder, Undecodable, build_encoder, joined, load_encoder, save_encoder
from recsys.scl.encoders.image_decoder import PictureDecoder
from recsys.scl.encoders.tokenizer import train_tokenizer
from recsys.scl.encoders.torchvision_operators import importable_torchvision

TEXTS = ["a red apple", "", "juicy pear, Apples & more apples"]


def picture(seed: int, size: tuple[int, int] = (40, 30), form: str = "PNG", mode: str = "RGB") -> bytes:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(out, form)
    return out.getvalue()


def small(kind: str, **settings) -> Encoder:
    torch.manual_seed(0)
    image = ImageEncoderConfig(**{"size": 32, "channels": [8, 16], **(settings if kind == "image" else {})})
    text = TextEncoderConfig(**{"hidden": 16, "heads": 2, "max_length": 6, **(settings if kind == "text" else {})})
    return build_encoder(kind, SCLModelConfig(width=12, image=image, text=text), train_tokenizer(TEXTS, 200))


def contents(kind: str) -> list:
    return [picture(0), picture(1), picture(2)] if kind == "image" else TEXTS


def there_and_back(encoder: Encoder, folder, some: list) -> None:
    """Saved and loaded, it gives the same unit vectors, whoever else is in the batch."""
    encoder.eval()
    save_encoder(encoder, folder)
    loaded = load_encoder(folder)
    with torch.no_grad():
        wanted, found = encoder(encoder.decoder(some)), loaded(loaded.decoder(some))
        alone = torch.cat([loaded(loaded.decoder([one])) for one in some])
    assert not loaded.training and (loaded.kind, loaded.width) == (encoder.kind, encoder.width)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(alone, wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(some)))
    assert loaded(loaded.decoder([])).shape == (0, encoder.width)
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")], "nothing is left beside"


@pytest.mark.parametrize("kind", ["image", "text"])
def test_ours_are_what_was_saved(kind: str, tmp_path):
    there_and_back(small(kind), tmp_path / "encoder", contents(kind))


def test_saving_again_replaces(tmp_path):
    encoder = small("image")
    for _ in range(2):
        encoder.project.weight.data.add_(1)
        save_encoder(encoder, tmp_path / "encoder")
    assert torch.equal(load_encoder(tmp_path / "encoder").project.weight, encoder.project.weight)


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("PNG", "RGBA")]
)
def test_pictures_of_every_mode_are_decoded(form: str, mode: str):
    assert PictureDecoder(16)([picture(0, (50, 20), form, mode)]).shape == (1, 3, 16, 16)


def test_the_middle_is_cut_out_and_transparency_is_white():
    image = Image.new("RGBA", (60, 20), (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (20, 0, 40, 20))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert (PictureDecoder(8)([out.getvalue()])[0, :, 2:6, 2:6] == 255).all()


@pytest.mark.parametrize("wrong", [b"", b"no picture", None, picture(0, form="JPEG")[:300]])
def test_what_is_no_picture_is_named(wrong):
    with pytest.raises(Undecodable) as found:
        PictureDecoder(16)([picture(0), wrong])
    assert found.value.index == 1 and str(found.value)


def test_what_is_no_text_is_named():
    with pytest.raises(Undecodable) as found:
        small("text").decoder(["a", None])
    assert found.value.index == 1


def test_texts_are_cut_and_padded():
    decoder = small("text").decoder
    ids = decoder(["apple " * 30, ""])
    assert ids.shape == (2, 6) and (ids[1, 1:] == -1).all() and (ids[:, 0] >= 0).all()
    assert joined([ids[:, :2], ids]).shape == (4, 6)


def test_the_same_texts_give_the_same_vocabulary():
    made = {train_tokenizer(iter(TEXTS), 60).to_str() for _ in range(5)}
    assert len(made) == 1
    with pytest.raises(InputError, match="no words"):
        train_tokenizer(["", " "], 200)


def test_an_encoder_that_is_none_or_damaged_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no encoder: it has no encoder\.json"):
        load_encoder(tmp_path)
    save_encoder(small("image"), tmp_path / "encoder")
    weights = tmp_path / "encoder" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_encoder(tmp_path / "encoder")


def test_a_timm_model_by_name_and_by_folder(tmp_path):
    encoder = small("image", name="resnet10t", pretrained=False, size=64)
    there_and_back(encoder, tmp_path / "encoder", contents("image"))
    local = tmp_path / "local"
    local.mkdir()
    (local / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "num_classes": 0, "pretrained_cfg": {}})
    )
    encoder = small("image", name=str(local), pretrained=False)
    there_and_back(encoder, tmp_path / "other", contents("image"))


def test_a_timm_model_that_is_none_is_refused():
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        small("image", name="resnet18x")


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
    assert encoder.about["pooling"] == (pooling or "mean")
    there_and_back(encoder, tmp_path / "encoder", TEXTS)


def test_a_transformers_model_that_is_none_is_refused(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="cannot be had"):
        small("text", name=str(tmp_path))
