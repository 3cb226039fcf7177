"""Pictures into pixels, and what is no picture."""

import io

import pytest
from PIL import Image

from recsys.scl.encoders.encoder import Undecodable
from recsys.scl.encoders.image_decoder import PictureDecoder
from tests.recsys.scl.encoders.small_encoders import picture


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("PNG", "RGBA")]
)
def test_pictures_of_every_mode_are_decoded(form: str, mode: str):
    assert PictureDecoder(16)([picture(0, (50, 20), form, mode)]).shape == (1, 3, 16, 16)


def test_the_middle_is_cut_out_and_transparency_is_white():
    image = Image.new("RGBA", (60, 20), (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (20, 0, 40, 20))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert (PictureDecoder(8)([out.getvalue()])[0, :, 2:6, 2:6] == 255).all()


@pytest.mark.parametrize("wrong", [b"", b"no picture", None, picture(0, form="JPEG")[:300]])
def test_what_is_no_picture_is_named(wrong):
    with pytest.raises(Undecodable) as error:
        PictureDecoder(16)([picture(0), wrong])
    assert error.value.index == 1 and str(error.value)
