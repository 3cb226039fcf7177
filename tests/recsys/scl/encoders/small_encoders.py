"""Small encoders and their contents for the tests of encoders."""

import io

import numpy as np
import torch
from PIL import Image

from recsys.scl.config import ImageEncoderConfig, SCLModelConfig, TextEncoderConfig
from recsys.scl.encoders.build import build_encoder
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.encoder_folder import load_encoder, save_encoder
from recsys.scl.encoders.tokenizer import train_tokenizer

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


def assert_saved_and_loaded(encoder: Encoder, folder, batch: list) -> None:
    """Saved and loaded, it gives the same unit vectors, whoever else is in the batch."""
    encoder.eval()
    save_encoder(encoder, folder)
    loaded = load_encoder(folder)
    with torch.no_grad():
        wanted, vectors = encoder(encoder.decoder(batch)), loaded(loaded.decoder(batch))
        alone = torch.cat([loaded(loaded.decoder([one])) for one in batch])
    assert not loaded.training and (loaded.kind, loaded.width) == (encoder.kind, encoder.width)
    torch.testing.assert_close(vectors, wanted)
    torch.testing.assert_close(alone, wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(batch)))
    assert loaded(loaded.decoder([])).shape == (0, encoder.width)
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")], "nothing is left beside"
