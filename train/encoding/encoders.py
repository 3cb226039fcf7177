"""Which encoder the command line means: raw content, or one that was trained."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from embeddings.errors import InputError, nearest
from recsys.scl.raw import RAW, RawContent
from train.encoding.items import ItemFiles
from train.encoding.pipeline import decoded_batches

SAMPLE_PARTS = 8  # parts whose first batch says what raw items share
SAMPLE_ROWS = 512


class Encoder(Protocol):
    """Content to vectors.

    name      what the store says made it
    kind      image or text
    identity  equal for encoders that give equal vectors
    """

    name: str
    kind: str
    identity: str

    def decode(self, content: Any) -> Any:
        """One item's content, in a thread. Raises whatever its library raises for content that is broken."""

    def vectors(self, decoded: Sequence[Any]) -> np.ndarray:
        """[n, M] float32, not normalised; n at least 1."""

    def fit(self, items: ItemFiles) -> None:
        """Look at the items before the first is encoded; the same on every rank."""


class RawEncoder:
    """A baseline by name, its mean taken over the first rows of some parts, so that all ranks have the same."""

    def __init__(self, name: str) -> None:
        self._raw: RawContent = RAW[name]()
        self.name = self.identity = name
        self.kind = self._raw.kind
        self.decode, self.vectors = self._raw.decode, self._raw.vectors

    def fit(self, items: ItemFiles) -> None:
        step = -(-items.parts // SAMPLE_PARTS)
        decoded = []
        for part in range(0, items.parts, step):
            batch = next(iter(decoded_batches(items, [range(part, part + 1)], self.decode, SAMPLE_ROWS, 1)))
            decoded += [value for value, reason in batch.values if reason is None]
        self._raw.fit(decoded)


def open_encoder(name: str, device: torch.device, *, untrained: bool) -> Encoder:
    """The encoder that ``name`` means. Raises InputError where it is none."""
    if name in RAW:
        if untrained:
            raise InputError(f"--untrained goes with an encoder that was trained, and {name} never is; leave it out")
        return RawEncoder(name)
    raise InputError(f"'{name}' is no encoder{nearest(name, RAW)}")
