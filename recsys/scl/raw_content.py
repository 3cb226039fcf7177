"""Raw pixels and bags of words as vectors, without any learning: the baseline of an encoder."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from recsys.scl.pictures import rgb_picture

SIDE = 8  # pixels
WORD_WIDTH = 256


class RawContent:
    """A picture or a text as numbers, minus the mean over a sample of items. ``fit`` comes first.

    Without the mean, what all items share (grey, common words) makes every pair alike.
    """

    kind: str
    width: int

    def __init__(self) -> None:
        self.mean: np.ndarray = np.zeros(self.width, np.float32)

    def decode(self, content: bytes | str) -> np.ndarray:
        """[width] float32. Raises ValueError or OSError for content that is broken."""
        raise NotImplementedError

    def fit(self, decoded: Sequence[np.ndarray]) -> None:
        """Take the mean of a sample of what ``decode`` gave."""
        if decoded:
            self.mean = np.asarray(np.mean(np.stack(decoded), axis=0, dtype=np.float64).astype(np.float32))

    def vectors(self, decoded: Sequence[np.ndarray]) -> np.ndarray:
        """[n, width] float32, not normalised."""
        return np.stack(decoded) - self.mean


class RawPixels(RawContent):
    """A picture scaled down to SIDE x SIDE pixels of three colours."""

    kind, width = "image", SIDE * SIDE * 3

    def decode(self, content: bytes | str) -> np.ndarray:
        assert isinstance(content, bytes)
        with rgb_picture(content) as picture:
            small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small, np.float32).reshape(-1) / np.float32(255)


class RawWords(RawContent):
    """A bag of words, hashed into WORD_WIDTH signed places (Weinberger et al., ICML 2009)."""

    kind, width = "text", WORD_WIDTH

    def decode(self, content: bytes | str) -> np.ndarray:
        if not isinstance(content, str):
            raise ValueError("the text is no UTF-8")
        counts = np.zeros(self.width, np.float32)
        for word in re.findall(r"\w+", content.lower()):
            place = zlib.crc32(word.encode())
            counts[place % self.width] += 1 if place >> 31 else -1
        return counts


RAW = {"raw-pixels": RawPixels, "raw-words": RawWords}
