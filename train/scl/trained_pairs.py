"""What an SCL (contrastive learning) run was trained on beside its rows: columns of pairs.yaml, and a vocabulary."""

import hashlib
from typing import Any

from embeddings.errors import InputError
from embeddings.validation import validated
from recsys.scl.encoders.tokenizer import WordDecoder
from recsys.scl.pairs_schema import PAIRS_FILE, Pairs
from recsys.scl.towers import Towers
from train.scl.build import VOCABULARY


def trained_on(pairs: Pairs, towers: Towers) -> dict[str, Any]:
    """Plain data for a checkpoint: ``pairs`` but the items' folder, and a digest of the vocabulary, if there is one."""
    text = vocabulary(towers)
    digest = None if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"pairs": _plain(pairs), "vocabulary": digest}


def vocabulary(towers: Towers) -> str | None:
    """The vocabulary of an encoder of texts that has one of its own, as JSON."""
    for encoder in (towers.query, towers.item):
        if encoder.about["library"] == "ours" and encoder.kind == "text":
            assert isinstance(encoder.decoder, WordDecoder)
            return encoder.decoder.tokenizer.to_str()
    return None


def refuse_other_pairs(here: dict[str, Any], progress: dict[str, Any], data: str, run: str) -> None:
    """Refuse to go on from a checkpoint of other pairs; older ones do not say of which they are. Raises InputError.

    Args:
        here: ``trained_on`` of this run.
        data: its data folder.
        run: its own.
    """
    there = validated(Pairs, progress.get("pairs", here["pairs"]), where="the checkpoint's pairs")
    ours, theirs = _flat(here["pairs"]), _flat(_plain(there))
    differing = [
        f"{key} is {ours.get(key, 'null')}, trained with {theirs.get(key, 'null')}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
    if differing:
        raise InputError(
            f"'{data}/{PAIRS_FILE}' is not the one that the run was trained with: {'; '.join(differing)}; put it back, "
            "or start a new run"
        )
    if here["vocabulary"] != progress.get("vocabulary", here["vocabulary"]):
        raise InputError(
            f"'{run}/{VOCABULARY}' is not the vocabulary that the run was trained with; put it back, or start a new run"
        )


def _plain(pairs: Pairs) -> dict[str, Any]:
    return pairs.model_dump(mode="json", exclude={"items": {"path"}})


def _flat(pairs: dict[str, Any]) -> dict[str, Any]:
    """By dotted key; a section that is null has none."""
    return {f"{name}.{key}": value for name, section in pairs.items() for key, value in (section or {}).items()}
