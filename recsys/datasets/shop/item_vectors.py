"""Frozen vectors of the generated market's items: what an imperfect encoder makes of their hidden style."""

import numpy as np

from recsys.datasets.shop.market import STYLE_DIM, Market, unit

ENCODER_NOISE = 0.5  # norm of the noise that the encoder adds to a unit vector
_BLOCK_VALUES = 4 << 20  # made at once


def encoded_items(market: Market, width: int, seed: int) -> np.ndarray:
    """Vectors of an encoder that weighs directions of style unevenly and adds noise.

    returns  [I, width]  float16, near unit vectors
    """
    rng = np.random.default_rng([seed, 1])
    turn = np.linalg.qr(rng.standard_normal((max(width, STYLE_DIM), STYLE_DIM)))[0][:width]
    view = (turn * rng.uniform(0.5, 1.5, size=STYLE_DIM)).T.astype(np.float32)
    vectors = np.empty((market.num_items, width), np.float16)
    step = max(1, _BLOCK_VALUES // width)
    for start in range(0, market.num_items, step):
        block = unit(market.style[start : start + step] @ view)
        noise = rng.standard_normal(block.shape, np.float32) * np.float32(ENCODER_NOISE / np.sqrt(width))
        vectors[start : start + step] = unit(block + noise)
    return vectors
