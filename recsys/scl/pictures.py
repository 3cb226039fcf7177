"""Pictures: bytes of a file into pixels of three 8-bit colours, whatever its mode. The only picture decoder here.

What each mode becomes, so that training and encoding, and whoever prepares pictures, agree:

    1, L, P, RGB, YCbCr, HSV  as Pillow converts them; 16-bit colours by their high byte, as Pillow reads them
    CMYK                      without a colour profile, as Pillow converts it
    LAB                       to sRGB by its own definition
    I;16, and I up to 65535   16-bit grey over 257, rounded: 65535 is white
    I beyond that, F          refused: nothing says which number is white
    alpha, a transparent      what is transparent is white: LA, PA, RGBA, La, RGBa, and a transparent colour or palette
    EXIF orientation          the picture is turned upright
    animated, several pages   the first
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

Image.init()
_WANTED = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # none that runs a program
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
MOST_PIXELS = 1 << 26  # of a picture; more is taken for an attack or an error
_LARGE = 1 << 22  # pixels; larger pictures are decoded one at a time, as each takes a part of a gigabyte

_TURNS = {  # by EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_BLOCK = 256  # rows converted at once
_large_one = threading.Lock()

# Blocks of this size go back to the system when a large picture is closed; smaller ones would stay with each thread.
Image.core.set_block_size(64 << 20)  # type: ignore[attr-defined]  # documented as Pillow's block allocator, untyped
# Our own bound on pixels is below Pillow's, which would warn before it is asked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextmanager
def rgb_picture(content: bytes, least: int | None = None) -> Iterator[Image.Image]:
    """The picture in a file's ``content``, mode RGB.

    Args:
        least: pixels of the sides that are enough; a JPEG may then be decoded at a half, a quarter or an eighth.

    Raises ValueError, OSError and whatever else Pillow raises for content that is broken.
    """
    try:
        opened = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ValueError(f"no picture of a known format ({', '.join(FORMATS)})") from error
    with opened as picture:
        pixels = picture.width * picture.height
        if pixels > MOST_PIXELS:
            raise ValueError(f"{picture.width} x {picture.height} pixels; allowed: {MOST_PIXELS:,} in all")
        if least is not None:
            picture.draft("RGB", (least, least))
        with _large_one if pixels > _LARGE else nullcontext():
            picture.load()
            turn = _TURNS.get(_orientation(picture) or 0)
            rgb = _opaque(_eight_bits(picture))
            rgb = rgb if turn is None else rgb.transpose(turn)
            try:
                yield rgb
            finally:  # not when a caller's variable goes, as the next large one may begin now
                rgb.close()
                picture.close()


def _orientation(picture: Image.Image) -> int | None:
    try:
        return picture.getexif().get(_ORIENTATION)
    except Exception:  # broken EXIF is no broken picture
        return None


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture in a mode that Pillow converts to RGB or RGBA by itself."""
    if picture.mode.startswith("I"):
        return _scaled(picture)
    if picture.mode == "F":
        raise ValueError("pixels are floating-point numbers, of which nothing says which is white")
    if picture.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, *profiles, outputMode="RGB")
        assert converted is not None, "not in place"
        return converted
    multiplied = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
    return picture.convert(multiplied) if multiplied else picture


def _scaled(picture: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey, a transparent value as white."""
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels are 32-bit numbers, of which nothing says which is white; allowed: 0 to 65535")
    grey = np.empty(values.shape, np.uint8)
    table = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)
    for row in range(0, len(values), _BLOCK):
        grey[row : row + _BLOCK] = table[values[row : row + _BLOCK]]
    if isinstance(transparent := picture.info.get("transparency"), int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _opaque(picture: Image.Image) -> Image.Image:
    """RGB, with white where the picture is transparent."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    opaque = Image.new("RGB", picture.size)
    for top in range(0, picture.height, _BLOCK):  # so that memory holds little three times
        part = picture.crop((0, top, picture.width, min(top + _BLOCK, picture.height))).convert("RGBA")
        white = Image.new("RGBA", part.size, (255, 255, 255, 255))
        opaque.paste(Image.alpha_composite(white, part).convert("RGB"), (0, top))
    return opaque
