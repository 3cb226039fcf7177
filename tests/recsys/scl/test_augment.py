"""Views of pictures and texts: what is drawn, and that nothing else is."""

import torch

from recsys.scl.augment import augment_pictures, augment_texts
from recsys.scl.config import AugmentConfig

NONE = AugmentConfig(crop=1.0, stretch=1.0, rotate=0.0, flip=0.0, light=0.0, colour=0.0, words=0.0)


def draws(rows: int) -> torch.Tensor:
    return torch.rand(rows, 9, generator=torch.Generator().manual_seed(0))


def test_without_any_change_a_view_is_the_picture():
    pixels = torch.randint(0, 256, (4, 3, 9, 9), dtype=torch.uint8)
    assert torch.equal(augment_pictures(pixels, draws(4), NONE), pixels)


def test_a_flip_is_a_mirror():
    pixels = torch.randint(0, 256, (4, 3, 9, 9), dtype=torch.uint8)
    mirrored = augment_pictures(pixels, draws(4), NONE.model_copy(update={"flip": 1.0}))
    assert torch.equal(mirrored, pixels.flip(3))


def test_a_view_depends_on_its_own_row_alone():
    pixels = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    whole = augment_pictures(pixels, draws(6), AugmentConfig())
    assert torch.equal(augment_pictures(pixels[2:4], draws(6)[2:4], AugmentConfig()), whole[2:4])
    assert not torch.equal(whole, pixels) and whole.dtype == torch.uint8


def test_words_are_left_out_but_never_the_first_and_order_stays():
    ids = torch.arange(40).repeat(50, 1)
    ids[:, 30:] = -1
    augmented = augment_texts(ids, draws(50), AugmentConfig(words=0.2))
    kept = augmented >= 0
    assert (augmented[:, 0] == 0).all() and 0.7 < kept[:, :30].float().mean() < 0.9
    for row, there in zip(augmented, kept, strict=True):
        assert (row[there].diff() > 0).all() and not there[int(there.sum()) :].any(), "padding is behind"
    assert torch.equal(augment_texts(ids, draws(50), NONE), ids)
