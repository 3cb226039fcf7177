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


def drawn(**places: float) -> torch.Tensor:
    """The draws of one picture: the middle, which changes nothing, but for some: crop, stretch, flip, ..."""
    names = ("crop", "stretch", "left", "top", "flip", "rotate", "brightness", "contrast", "saturation")
    return torch.tensor([[places.get(name, 1.0 if name in ("crop", "flip") else 0.5) for name in names]])


def view(pixels: torch.Tensor, draws: torch.Tensor, **settings: float) -> torch.Tensor:
    return augment_pictures(pixels, draws, NONE.model_copy(update=settings))


def test_crop_shows_that_share_of_the_area():
    pixels = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    pixels[:, :, 4:12, 4:12] = 200  # a quarter, in the middle
    assert (view(pixels, drawn(crop=0), crop=0.25)[:, :, 1:-1, 1:-1] == 200).all()
    assert (view(pixels, drawn(crop=0), crop=0.5) == 0).any()


def test_stretch_is_of_the_width_over_the_height():
    pixels = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    pixels[:, :, 6:10] = 200  # a quarter of the height, in the middle
    assert (view(pixels, drawn(crop=0, stretch=1), crop=0.25, stretch=4)[:, :, 2:-2] == 200).all()
    assert (view(pixels, drawn(crop=0, stretch=1), crop=0.25, stretch=2)[:, :, 2:-2] < 200).any()


def test_rotate_is_the_largest_turn():
    pixels = torch.randint(0, 256, (1, 3, 9, 9), dtype=torch.uint8)
    quarter = view(pixels, drawn(rotate=1), rotate=90)
    assert any(torch.equal(quarter, pixels.rot90(turns, (2, 3))) for turns in (1, 3))
    assert torch.equal(view(pixels, drawn(rotate=1), rotate=180), pixels.flip(2, 3))


def test_flip_is_a_chance():
    pixels = torch.randint(0, 256, (1, 3, 9, 9), dtype=torch.uint8)
    for chance, mirrored in ((0.2, False), (0.4, True)):
        assert torch.equal(view(pixels, drawn(flip=0.3), flip=chance), pixels.flip(3) if mirrored else pixels)


def test_light_is_the_largest_change_of_brightness_and_of_contrast():
    pixels = torch.full((1, 3, 4, 4), 50, dtype=torch.uint8)
    pixels[..., 2:] = 150
    bright = view(pixels, drawn(brightness=1), light=0.4)
    assert set(bright.unique().tolist()) == {70, 210}
    contrast = view(pixels, drawn(contrast=1), light=0.4)
    assert set(contrast.unique().tolist()) == {30, 170}, "from their mean of 100"


def test_colour_is_the_largest_change_of_saturation():
    pixels = torch.tensor([160, 100, 40], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4).contiguous()
    assert view(pixels, drawn(saturation=1), colour=0.5)[0, :, 0, 0].tolist() == [190, 100, 10]
    assert torch.equal(view(pixels, drawn(saturation=1), light=0.5), pixels)
