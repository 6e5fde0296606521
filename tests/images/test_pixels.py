"""Depth, alpha and orientation of pixels, against the arithmetic of their definition."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from endoexit.images.pixels import over_black, scale_table, upright


@pytest.mark.parametrize("bits", [1, 2, 7, 8, 12, 16])
def test_every_value_is_scaled_to_the_nearest_of_eight_bits(bits: int) -> None:
    largest = 2**bits - 1
    exact = np.arange(largest + 1) * 255 / largest
    np.testing.assert_array_equal(scale_table(bits), np.floor(exact + 0.5))
    np.testing.assert_array_equal(scale_table(bits, inverted=True), scale_table(bits)[::-1])


def test_colours_are_laid_over_black_by_their_alpha_unless_all_of_it_is_zero() -> None:
    colours = np.full((2, 2, 3), 200, np.uint8)
    alpha = np.array([[0, 255], [128, 1]], np.uint8)
    expected = np.round(200 * alpha.astype(float) / 255).astype(np.uint8)
    np.testing.assert_array_equal(over_black(colours, alpha), expected[..., None].repeat(3, 2))
    assert over_black(colours, np.zeros((2, 2), np.uint8)) is colours


@pytest.mark.parametrize("orientation", [*range(1, 9), None, 0, 9])
def test_an_orientation_is_undone_as_pillow_undoes_it(
    corners: Image.Image, orientation: int | None
) -> None:
    if orientation:
        corners.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(corners))
    np.testing.assert_array_equal(upright(np.asarray(corners), orientation), expected)
