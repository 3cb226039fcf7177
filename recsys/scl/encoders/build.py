"""Builds an encoder from its config, or rebuilds one from the settings that were saved with it."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from recsys.scl.config import SCLModelConfig
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.image_decoder import PictureDecoder
from recsys.scl.encoders.resnet import resnet
from recsys.scl.encoders.tokenizer import WordDecoder
from recsys.scl.encoders.transformer import Transformer


def needs_vocabulary(kind: str, config: SCLModelConfig) -> bool:
    """Whether ``build_encoder`` wants a tokenizer: of texts, where no named model brings its own."""
    return kind == "text" and config.text.name == "transformer"


def build_encoder(kind: str, config: SCLModelConfig, tokenizer: Tokenizer | None = None) -> Encoder:
    """A new encoder of ``kind``, image or text. Raises InputError for a named model that cannot be had."""
    if kind == "image":
        image = config.image
        if image.name == "resnet":
            return rebuild(
                {"library": "ours", "kind": kind, "width": config.width, **_of(image, "size channels blocks")}
            )
        from recsys.scl.encoders.timm_models import from_timm  # heavy

        return from_timm(image, config.width)
    text = config.text
    if text.name == "transformer":
        assert tokenizer is not None, "a small transformer comes with a vocabulary"
        settings = _of(text, "max_length hidden layers heads dropout")
        return rebuild({"library": "ours", "kind": kind, "width": config.width, **settings}, tokenizer=tokenizer)
    from recsys.scl.encoders.transformers_models import from_transformers  # heavy

    return from_transformers(text, config.width)


def rebuild(about: dict[str, Any], *, tokenizer: Tokenizer | None = None, folder: Path | None = None) -> Encoder:
    """The encoder that ``about`` describes, with new weights.

    Args:
        about: ``Encoder.about``.
        tokenizer: of our own text encoder.
        folder: of a saved encoder, which holds the settings of a transformers model.
    """
    if about["library"] == "timm":
        from recsys.scl.encoders.timm_models import rebuild_timm

        return rebuild_timm(about)
    if about["library"] == "transformers":
        from recsys.scl.encoders.transformers_models import rebuild_transformers

        assert folder is not None
        return rebuild_transformers(about, folder)
    if about["kind"] == "image":
        backbone = resnet(about["channels"], about["blocks"])
        return Encoder("image", backbone, about["channels"][-1], about["width"], PictureDecoder(about["size"]), about)
    assert tokenizer is not None
    sizes = {key: about[key] for key in ("max_length", "hidden", "layers", "heads", "dropout")}
    transformer = Transformer(tokenizer.get_vocab_size(), **sizes)
    decoder = WordDecoder(tokenizer, about["max_length"])
    return Encoder("text", transformer, about["hidden"], about["width"], decoder, about)


def _of(config: Any, names: str) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names.split()}
