"""The rendered pictures: the style is in them, and little else of what raw pixels show is."""

import io

import numpy as np
import pytest
from PIL import Image

from recsys.datasets.shop.market import STYLE_DIM, unit
from recsys.datasets.shop.pictures import CATALOGUE, PHOTO, SIZE, jpegs, render


def styles(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, STYLE_DIM), np.float32))


def explained(pictures: np.ndarray, style: np.ndarray, ridge: float) -> float:
    """Share of the styles' variance that a ridge regression on pixels explains, on the half that it did not see."""
    x = pictures.reshape(len(pictures), -1).astype(np.float64) / 255
    x -= x.mean(axis=0)
    half = len(x) // 2
    weights = np.linalg.solve(x[:half] @ x[:half].T + ridge * np.eye(half), style[:half])
    guess = x[half:] @ (x[:half].T @ weights)
    return 1 - np.square(style[half:] - guess).mean() / np.square(style[half:]).mean()


def test_the_whole_style_is_in_the_object_and_nothing_around_it_tells_of_it():
    rng = np.random.default_rng(1)
    near = unit(styles(1) + np.float32(0.05) * styles(400, seed=2))  # so near that pixels depend on them linearly
    assert explained(render(rng, near, 0.0)[:, ::2, ::2], near - near.mean(axis=0), 0.05) > 0.9
    style = styles(800)
    corners = render(rng, style, PHOTO)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert explained(corners, style, 5.0) < 0.02


def test_each_number_of_a_style_changes_the_picture():
    style = np.full((1, STYLE_DIM), 0.2, np.float32)
    style[0, :3] = -0.2  # another colour than the second
    before = render(np.random.default_rng(0), style, 0.0).astype(int)
    for number in range(STYLE_DIM):
        other = style.copy()
        other[0, number] += 0.3
        assert np.abs(render(np.random.default_rng(0), other, 0.0) - before).max() > 15, number


def test_raw_pixels_tell_a_style_from_others_badly():
    style, rng = styles(400), np.random.default_rng(1)
    raw = [render(rng, style, v).reshape(400, -1).astype(np.float32) for v in (CATALOGUE, PHOTO)]
    items, photos = (unit(x - x.mean(axis=0)) for x in raw)
    recognised = (photos @ items.T).argmax(axis=1) == np.arange(400)
    assert recognised.mean() < 0.1


def test_close_styles_look_alike():
    style = styles(20)
    first = render(np.random.default_rng(2), style, PHOTO).astype(int)
    moved = unit(style + np.float32(0.01) * styles(20, seed=3))
    assert np.abs(render(np.random.default_rng(2), moved, PHOTO) - first).mean() < 3
    assert np.abs(render(np.random.default_rng(2), styles(20, seed=4), PHOTO) - first).mean() > 8


@pytest.mark.parametrize("count", [0, 1, 3])
def test_same_seed_same_files(count):
    files = [jpegs(render(np.random.default_rng(5), styles(count), CATALOGUE)) for _ in range(2)]
    assert files[0] == files[1] and len(files[0]) == count
    for file in files[0]:
        with Image.open(io.BytesIO(file)) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (SIZE, SIZE), "RGB")
