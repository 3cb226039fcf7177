"""Image decoder: bytes of a JPEG or PNG into pixels."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from embeddings.errors import first_line
from recsys.scl.encoders.encoder import Undecodable

MOST_PIXELS = 1 << 26  # of a picture; more is taken for an attack or an error


@dataclass(frozen=True)
class PictureDecoder:
    """The short side is fitted to ``size``, the middle is cut out: uint8 [B, 3, size, size], RGB."""

    size: int

    def __call__(self, contents: Sequence[bytes]) -> torch.Tensor:
        pixels = np.empty((len(contents), 3, self.size, self.size), np.uint8)
        for index, content in enumerate(contents):
            try:
                pixels[index] = self._one(content)
            except (
                UnidentifiedImageError,
                OSError,
                ValueError,
                SyntaxError,
                TypeError,
                Image.DecompressionBombError,
            ) as error:
                raise Undecodable(index, first_line(error)) from error
        return torch.from_numpy(pixels)

    def _one(self, content: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels; allowed: {MOST_PIXELS} in all")
            picture.draft(
                "RGB", (self.size, self.size)
            )  # a JPEG is decoded at a half or a quarter where that is enough
            picture.load()
            rgb = _opaque(picture)
        short = min(rgb.size)
        left, top = (rgb.width - short) / 2, (rgb.height - short) / 2
        box = (left, top, left + short, top + short)
        fitted = rgb.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(fitted).transpose(2, 0, 1)


def _opaque(picture: Image.Image) -> Image.Image:
    """RGB, with white where the picture is transparent."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
