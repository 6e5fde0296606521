"""Decoding apart from the service: each hostile file gets a code, and nothing else happens."""

import io

import numpy as np
import pytest
from hostile import bomb, saved
from PIL import Image
from servers import PHOTOS, png

from endoexit.images.preprocessing import Preprocessing
from endoexit.images.sheet import Sheet
from endoexit.serve.decoding import RefusedError, decode
from tiny import tiny_photos

PREPROCESSING = Preprocessing(size=32)
HEAD = {
    "preprocessing": PREPROCESSING.model_dump(mode="json"),
    "image_pixels": 1_000_000, "min_side": 8, "max_side": 2000,
}  # fmt: skip


def test_pixels_are_those_of_the_command_line():
    for content, pixels in zip(PHOTOS[:3], tiny_photos(), strict=False):
        np.testing.assert_array_equal(decode(content, HEAD), PREPROCESSING.apply(pixels))


def test_a_cascade_gets_its_sheet():
    sheet = Sheet.of([PREPROCESSING, Preprocessing(size=48)])
    head = HEAD | {"preprocessing": sheet.model_dump(mode="json")}
    np.testing.assert_array_equal(decode(PHOTOS[0], head), sheet.apply(tiny_photos()[0]))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "PPM"])
def test_every_format_is_read(form):
    assert decode(saved(form), HEAD).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "image.empty"),
        (b"hello", "image.unknown"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image.unknown"),
        (PHOTOS[0][:200], "image.damaged"),
        (saved("GIF", frames=3), "image.animated"),
        (saved("WEBP", frames=2), "image.animated"),
        (saved("TIFF", frames=2), "image.animated"),
        (saved("PNG", frames=2), "image.animated"),
        (bomb(30_000), "image.too_large"),
        (saved("PNG", size=(2001, 10)), "image.too_large"),
        (saved("PNG", size=(1001, 1001)), "image.too_large"),
        (saved("TIFF", size=(1001, 1001)), "image.too_large"),
        (saved("PNG", size=(7, 40)), "image.too_small"),
    ],
)
def test_a_hostile_file_gets_a_code(content, code):
    with pytest.raises(RefusedError, match=code):
        decode(content, HEAD)


def test_a_photograph_with_a_preview_is_one_image():
    content = io.BytesIO()
    first = Image.fromarray(tiny_photos()[0])
    first.save(content, "MPO", save_all=True, append_images=[first.resize((8, 8))])
    assert decode(content.getvalue(), HEAD).shape == (32, 32, 3)


def test_an_image_of_text_in_its_metadata_is_read():
    from PIL.PngImagePlugin import PngInfo

    info, content = PngInfo(), io.BytesIO()
    info.add_text("Patient", "CANARY" * 100)
    Image.fromarray(tiny_photos()[0]).save(content, "PNG", pnginfo=info)
    np.testing.assert_array_equal(
        decode(content.getvalue(), HEAD), decode(png(tiny_photos()[0]), HEAD)
    )
