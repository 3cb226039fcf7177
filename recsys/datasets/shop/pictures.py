"""Product pictures of the generated market: a style is drawn as an object, everything around it says nothing of it.

The 16 numbers of a style set two colours, the outline, stripes and a mark, all smoothly. Place, size, turn, light,
background and noise are drawn at random, and move most pixels more than the style does.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from recsys.datasets.shop.market import STYLE_DIM

SIZE = 48  # pixels a side
QUALITY = 85  # of the JPEG
CATALOGUE, PHOTO = 0.6, 1.0  # how much varies besides the style
_SHARP = 14.0  # of edges

assert STYLE_DIM == 16, "render draws 16 numbers"


def render(rng: np.random.Generator, style: np.ndarray, variation: float) -> np.ndarray:
    """Draw one picture of each style.

    style      [n, STYLE_DIM]  float32 unit vectors
    variation  CATALOGUE or PHOTO
    returns    [n, SIZE, SIZE, 3]  uint8
    """
    count = len(style)
    p = (style * np.float32(4)).T[:, :, None, None]  # [16, n, 1, 1], each of a spread near 1

    def drawn(low: float, high: float, *shape: int) -> np.ndarray:
        middle, half = (low + high) / 2, variation * (high - low) / 2
        return rng.uniform(middle - half, middle + half, size=(count, *(shape or (1, 1)))).astype(np.float32)

    across = np.linspace(-1, 1, SIZE, dtype=np.float32)
    x, y = across[None, None, :], across[None, :, None]
    canvas = _background(drawn, x, y)

    angle, size = drawn(-0.35, 0.35), drawn(0.4, 0.8)
    dx, dy = (x - drawn(-0.3, 0.3)) / size, (y - drawn(-0.3, 0.3)) / size
    u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    square = u * u + v * v + np.float32(1e-6)
    radius = np.sqrt(square)
    outline = np.exp(
        np.float32(0.16) * (p[6] * (u * u - v * v) + p[7] * 2 * u * v) / square
        + np.float32(0.1) * (p[8] * (u * u - 3 * v * v) * u + p[9] * (3 * u * u - v * v) * v) / (square * radius)
    )
    inside = _logistic(_SHARP * (outline - radius))
    stripes = _logistic(5 * np.sin(np.float32(3.5) * (p[10] * u + p[11] * v)) + 2 * p[12])
    mark = np.exp(-8 * ((u - np.float32(0.35) * p[13]) ** 2 + (v - np.float32(0.35) * p[14]) ** 2)) * np.tanh(p[15])
    for channel in range(3):
        first, second = _logistic(1.5 * p[channel]), _logistic(1.5 * p[3 + channel])
        body = first + stripes * (second - first) + np.float32(0.6) * mark
        canvas[..., channel] += inside * (body - canvas[..., channel])
    canvas *= drawn(0.6, 1.4, 1, 1, 1) * drawn(0.8, 1.2, 1, 1, 3)
    canvas += np.float32(0.06 * variation) * rng.standard_normal(canvas.shape, np.float32)
    return (np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def _background(drawn: Callable[..., np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A gradient between two colours under a blot of a third: [n, SIZE, SIZE, 3] float32."""
    one, other, third = drawn(0, 1, 1, 1, 3), drawn(0, 1, 1, 1, 3), drawn(0, 1, 1, 1, 3)
    slope = _logistic(2 * (drawn(-1, 1) * x + drawn(-1, 1) * y))[..., None]
    blot = np.exp(-4 * ((x - drawn(-1, 1)) ** 2 + (y - drawn(-1, 1)) ** 2))[..., None]
    canvas = one + slope * (other - one)
    return canvas + blot * (third - canvas)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def jpegs(pictures: np.ndarray) -> list[bytes]:
    """Each picture as a JPEG file's bytes: [n, SIZE, SIZE, 3] uint8."""
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
        files.append(file.getvalue())
    return files
