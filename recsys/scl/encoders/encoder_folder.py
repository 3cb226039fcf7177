"""Saves and loads an encoder's folder: encoder.json, weights.safetensors, and what its kind needs.

encoder.json          kind, width and what builds the network again
weights.safetensors   all of its weights
tokenizer.json        the vocabulary of our own text encoder
backbone/             settings and tokenizer of a transformers model
"""

from pathlib import Path

from safetensors.torch import load_file, save_file

from embeddings.errors import InputError, first_line
from embeddings.files.atomic_file import atomic_folder
from embeddings.files.json_file import MOST_BYTES, write_json
from recsys.scl.encoders.about import ABOUT, read_about
from recsys.scl.encoders.build import rebuild
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.limits import build_within
from recsys.scl.encoders.tokenizer import WordDecoder, read_tokenizer
from recsys.scl.encoders.transformers_models import Backbone, ModelDecoder

WEIGHTS, TOKENIZER = "weights.safetensors", "tokenizer.json"
OURS = ("ours", "text")  # the encoder that has a vocabulary
BACKBONE = "backbone"


def save_encoder(encoder: Encoder, folder: str | Path) -> None:
    """Write ``encoder`` as ``folder``, atomically: it is whole, or as it was before. Raises OSError."""
    with atomic_folder(folder) as new:
        weights = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
        save_file(weights, new / WEIGHTS)
        write_json(new / ABOUT, encoder.about)
        if isinstance(encoder.decoder, WordDecoder):
            (new / TOKENIZER).write_text(encoder.decoder.tokenizer.to_str())
        if encoder.about["library"] == "transformers":
            assert isinstance(encoder.backbone, Backbone) and isinstance(encoder.decoder, ModelDecoder)
            encoder.backbone.save_settings(new / BACKBONE)
            encoder.decoder.save(new / BACKBONE)


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder in ``folder``, in evaluation mode on the CPU. Raises InputError where it is none, or is damaged.

    ``encoder.decoder(contents)`` turns a list of bytes (image) or strings (text) into what ``encoder`` takes.
    """
    folder = Path(folder)
    if not (folder / ABOUT).is_file():
        raise InputError(
            f"'{folder}' is no encoder: it has no {ABOUT}; a run of python -m train scl writes one to runs/NAME/encoder"
        )
    try:
        about = read_about(folder)
        if not (folder / WEIGHTS).is_file():
            raise ValueError(f"it has no {WEIGHTS}")
        tokenizer = read_tokenizer(_vocabulary(folder)) if (about["library"], about["kind"]) == OURS else None
        encoder = build_within(folder, lambda: rebuild(about, tokenizer=tokenizer, folder=folder))
        encoder.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:  # whatever the libraries make of what the folder holds
        raise InputError(
            f"encoder '{folder}' is damaged ({first_line(error)}); copy it again, or train it again"
        ) from error
    return encoder.eval()


def _vocabulary(folder: Path) -> str:
    path = folder / TOKENIZER
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has no {TOKENIZER} of at most {MOST_BYTES >> 20} MiB")
    return path.read_text(encoding="utf-8")
