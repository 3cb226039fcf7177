"""Image decoder: bytes of picture files into pixels of one size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from embeddings.errors import first_line
from recsys.scl.encoders.encoder import Undecodable
from recsys.scl.pictures import rgb_picture


@dataclass(frozen=True)
class PictureDecoder:
    """The short side is fitted to ``size``, the middle is cut out: uint8 [B, 3, size, size], RGB.

    ``recsys.scl.pictures`` says what becomes of pictures of other modes.
    """

    size: int

    def __call__(self, contents: Sequence[bytes]) -> torch.Tensor:
        pixels = np.empty((len(contents), 3, self.size, self.size), np.uint8)
        for index, content in enumerate(contents):
            try:
                pixels[index] = self._one(content)
            except MemoryError:
                raise
            except Exception as error:  # Pillow raises many kinds for a broken file
                raise Undecodable(index, first_line(error)) from error
        return torch.from_numpy(pixels)

    def _one(self, content: bytes) -> np.ndarray:
        with rgb_picture(content, self.size) as rgb:
            short = min(rgb.size)
            left, top = (rgb.width - short) / 2, (rgb.height - short) / 2
            box = (left, top, left + short, top + short)
            fitted = rgb.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(fitted).transpose(2, 0, 1)
