"""Opens the encoder that the command line names: raw content, or one that was trained."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from embeddings.errors import InputError, nearest
from recsys.exported.versions import CURRENT
from recsys.scl.encoders.about import OF_A_RUN
from recsys.scl.raw_content import RAW, RawContent
from train.encoding.decode_pipeline import decoded_batches
from train.encoding.item_files import ItemFiles

SAMPLE_PARTS, SAMPLE_ROWS = 8, 512  # the first rows of some parts say what raw items share


class ItemEncoder(Protocol):
    """An encoder of items: content to vectors.

    name      what the store says made it
    kind      image or text
    identity  equal where equal content gets equal vectors
    """

    name: str
    kind: str
    identity: str

    def fit(self, items: ItemFiles) -> None:
        """Look at the items before the first is encoded; the same on every rank."""

    def decode(self, content: Any) -> Any:
        """One item's content, in a thread. Raises whatever its library raises for content that is broken."""

    def vectors(self, decoded: Sequence[Any]) -> np.ndarray:
        """[n, M] float32, not normalised; n at least 1."""


class RawContentEncoder:
    """Raw pixels or words as vectors, minus the mean of a sample of the items; see ``recsys.scl.raw_content``."""

    def __init__(self, name: str) -> None:
        self._raw: RawContent = RAW[name]()
        self.name = self.identity = name
        self.kind = self._raw.kind
        self.decode, self.vectors = self._raw.decode, self._raw.vectors

    def fit(self, items: ItemFiles) -> None:
        """Take the mean of the first rows of some parts; the same on every rank."""
        decoded: list[np.ndarray] = []
        for part in range(0, items.parts, -(-items.parts // SAMPLE_PARTS)):
            with closing(decoded_batches(items, [range(part, part + 1)], self.decode, SAMPLE_ROWS, 1)) as batches:
                decoded += [value for value, reason in next(batches).values if reason is None]
        self._raw.fit(decoded)


def open_encoder(name: str, device: torch.device) -> ItemEncoder:
    """The encoder that ``name`` means: of RAW, in the folder of a run, of an encoder or of exported ones.

    Raises InputError where it is none.
    """
    if name in RAW:
        return RawContentEncoder(name)
    path = Path(name)
    if not path.is_dir():
        hint = nearest(name, RAW) or f"; allowed: the folder of a run of scl, {', '.join(RAW)}"
        raise InputError(f"encoder '{name}' does not exist{hint}")
    from train.encoding.trained_encoder import TrainedEncoder, open_current  # their libraries are heavy

    if (path / CURRENT).is_file():
        return open_current(path, device)
    return TrainedEncoder(path / OF_A_RUN if (path / OF_A_RUN).is_dir() else path, device)
