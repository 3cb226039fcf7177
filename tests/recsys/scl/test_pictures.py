"""Pictures of every mode against the stated conversion, and what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from recsys.scl import pictures
from recsys.scl.pictures import rgb_picture

GREYS = np.array([[0, 257, 32_896, 65_535]], np.uint16)
COLOURS = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


def encoded(picture: Image.Image, form: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def pixels(content: bytes, least: int | None = None) -> np.ndarray:
    with rgb_picture(content, least) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def grey(content: bytes) -> list[int]:
    got = pixels(content)
    assert (got == got[..., :1]).all()
    return got[..., 0].reshape(-1).tolist()


def made(mode: str) -> Image.Image:
    rgb = Image.fromarray(COLOURS)
    through = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode)
    return (rgb.convert(through) if through else rgb).convert(mode)


def test_16_bit_grey_is_scaled():
    little = Image.fromarray(GREYS)
    big = Image.frombytes("I;16B", (4, 1), GREYS.byteswap().tobytes())
    wide = Image.fromarray(GREYS.astype(np.int32))
    for content in (encoded(little), encoded(little, "TIFF"), encoded(big, "TIFF"), encoded(wide, "TIFF")):
        assert grey(content) == [0, 1, 128, 255]
    assert grey(encoded(little, transparency=257)) == [0, 255, 128, 255]
    noise = np.random.default_rng(0).integers(0, 65_536, (700, 9), dtype=np.uint16)  # more rows than a block
    got = pixels(encoded(Image.fromarray(noise)))[..., 0]
    assert (got == np.round(noise / 257)).all() and 120 < got.mean() < 136


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "RGBX"])
def test_opaque_pictures_are_as_pillow_converts_them(mode):
    source = made(mode)
    form = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA") else "TIFF"
    assert (pixels(encoded(source, form)) == np.asarray(source.convert("RGB"))).all()


def test_lab_is_converted():
    lab = Image.frombytes("LAB", (3, 1), bytes([0, 0, 0, 255, 0, 0, 128, 60, 60]))
    black, white, red = pixels(encoded(lab, "TIFF"))[0].tolist()
    assert max(black) < 3 and min(white) > 252 and red[0] > 150 > red[1] > red[2]


@pytest.mark.parametrize(
    ("mode", "form"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF"), ("PA", "TIFF")]
)
def test_what_is_transparent_is_white(mode, form):
    picture = Image.new("RGBA", (4, 300), (100, 100, 100, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 2, 300))
    options = {"lossless": True} if form == "WEBP" else {}
    got = pixels(encoded(picture.convert(mode), form, **options))
    assert (got[:, :2] == 255).all() and (got[:, 2:] == 100).all()


@pytest.mark.parametrize(
    ("mode", "transparent", "shown"), [("L", 7, 7), ("RGB", (7, 8, 9), (7, 8, 9)), ("1", 1, 1), ("P", 3, 3),
                                       ("P", b"\xff\xff\xff\0", 3)],
)  # fmt: skip
def test_a_transparent_colour_is_white(mode, transparent, shown):
    picture = Image.new(mode, (2, 1), 0)
    if mode == "P":
        picture.putpalette([0] * 12)
    picture.putpixel((1, 0), shown)
    got = pixels(encoded(picture, transparency=transparent))
    assert (got[0, 1] == 255).all() and (got[0, 0] == 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation):
    from PIL import ImageOps

    picture = Image.fromarray(COLOURS)
    exif = picture.getexif()
    exif[0x0112] = orientation
    for form, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        content = encoded(picture, form, exif=exif, **options)
        assert (pixels(content) == np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))).all(), form


def test_the_first_picture_of_several():
    first, second = Image.new("RGB", (3, 3), (255, 0, 0)), Image.new("RGB", (3, 3), (0, 255, 0))
    for form in ("GIF", "PNG", "TIFF", "WEBP"):
        got = pixels(encoded(first, form, save_all=True, append_images=[second]))
        assert got[..., 0].min() > 240 and got[..., 1].max() < 16, form


def test_broken_exif_is_no_broken_picture():
    assert (pixels(encoded(Image.fromarray(COLOURS), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")) == COLOURS).all()


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no picture of a known format"),
        (b"<html>not found</html>", "no picture of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no picture of a known format"),
        (encoded(Image.fromarray(COLOURS), "JPEG")[:400], "."),
        (encoded(Image.fromarray(COLOURS))[:-40], "."),
        (encoded(Image.fromarray(GREYS.astype(np.float32)), "TIFF"), "floating-point"),
        (encoded(Image.fromarray(GREYS.astype(np.int32) + 1), "TIFF"), "32-bit numbers"),
        (encoded(Image.fromarray(GREYS.astype(np.int32) - 1), "TIFF"), "32-bit numbers"),
        (bomb(10_000, 10_000), "pixels"),
        (bomb(100_000, 100_000), "decompression bomb"),
    ],
)
def test_what_is_refused(content, said):
    with pytest.raises(Exception, match=said) as error:
        pixels(content)
    assert not isinstance(error.value, AssertionError | MemoryError)


def test_more_pixels_than_are_allowed(monkeypatch):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 19)
    with pytest.raises(ValueError, match="4 x 5 pixels; allowed: 19 in all"):
        pixels(encoded(Image.fromarray(COLOURS)))


def test_a_large_jpeg_is_decoded_smaller():
    content = encoded(Image.new("RGB", (800, 640)), "JPEG")
    assert pixels(content, 60).shape == (80, 100, 3) and pixels(content).shape == (640, 800, 3)
