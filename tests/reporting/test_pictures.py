"""Photographs at the size of the page, and maps over them."""

import io

import numpy as np
import pytest
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.reporting.pictures import (
    SIDE,
    data_uri,
    heat_over,
    jpeg,
    open_photograph,
    resized,
)


@pytest.fixture
def wide(tmp_path):
    """An image twice as wide as high, left half black and right half white."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    return ImageRef(tmp_path / "wide.png")


def test_a_stretched_image_is_shown_at_its_own_proportions(wide):
    photograph = open_photograph(wide, Preprocessing(size=32, resize="stretch"))
    assert photograph.shown.shape == (SIDE // 2, SIDE, 3)
    assert photograph.seen.shape == (32, 32, 3)


def test_of_a_cropped_image_the_square_is_shown(wide):
    photograph = open_photograph(wide, Preprocessing(size=32, resize="shorter-side"))
    assert photograph.shown.shape == (SIDE, SIDE, 3)


def test_what_is_no_image_is_an_error(tmp_path):
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(ImageError):
        open_photograph(ImageRef(tmp_path / "text.jpg"), Preprocessing(size=32))


def test_the_map_is_brightest_where_it_is_largest_and_the_outline_is_white():
    shown = np.full((64, 64, 3), 128, np.uint8)
    values = np.zeros((4, 4), np.float32)
    values[0, 3] = 1
    picture = heat_over(shown, values)
    yellow, blue = picture[2, 61].astype(int), picture[61, 2].astype(int)
    assert yellow[:2].sum() > blue[:2].sum() + 100
    assert blue[2] > blue[0]
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 1
    outlined = heat_over(shown, values, mask)
    assert (outlined == 255).all(axis=2).sum() > 50
    assert not (picture == 255).all(axis=2).any()
    assert (outlined[32, 32] == picture[32, 32]).all(), "inside the outline nothing changes"


def test_an_even_map_has_one_colour():
    picture = heat_over(np.full((8, 8, 3), 100, np.uint8), np.ones((2, 2), np.float32))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1


def test_a_map_keeps_its_mean_at_another_size():
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert resized(values, (8, 2)).shape == (2, 8)
    assert resized(values, (8, 8)).mean() == pytest.approx(7.5, abs=0.2)


def test_a_jpeg_is_carried_by_its_address():
    content = jpeg(np.zeros((4, 6, 3), np.uint8))
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", (6, 4))
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"
