"""An encoder's folder: encoder.json, weights.safetensors, and what its kind needs beside.

encoder.json          kind, width and what builds the network again
weights.safetensors   all of its weights
tokenizer.json        the vocabulary of our own text encoder
backbone/             settings and tokenizer of a transformers model
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from embeddings.errors import InputError
from recsys.scl.encoders.build import rebuild
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.tokenizer import WordDecoder

ABOUT, WEIGHTS, TOKENIZER = "encoder.json", "weights.safetensors", "tokenizer.json"
BACKBONE = "backbone"


def save_encoder(encoder: Encoder, folder: str | Path) -> None:
    """Write ``encoder`` as ``folder``: beside it first, then renamed, so that it is whole or as it was before."""
    folder = Path(folder)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        beside.chmod(0o755)
        weights = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
        save_file(weights, beside / WEIGHTS)
        (beside / ABOUT).write_text(json.dumps(encoder.about, indent=1) + "\n")
        if isinstance(encoder.decoder, WordDecoder):
            (beside / TOKENIZER).write_text(encoder.decoder.tokenizer.to_str())
        if encoder.about["library"] == "transformers":
            encoder.backbone.save_settings(beside / BACKBONE)
            encoder.decoder.save(beside / BACKBONE)
        old = beside.with_name(beside.name + ".old")
        if folder.exists():
            os.rename(folder, old)
        os.rename(beside, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
        about = json.loads((folder / ABOUT).read_text())
        named = folder / TOKENIZER
        tokenizer = Tokenizer.from_str(named.read_text()) if named.is_file() else None
        encoder = rebuild(about, tokenizer=tokenizer, folder=folder)
        encoder.load_state_dict(load_file(folder / WEIGHTS))
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AssertionError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"encoder '{folder}' is damaged ({reason}); copy it again, or train it again") from error
    return encoder.eval()
