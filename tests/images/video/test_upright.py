"""Display matrices: each pixel goes where ISO/IEC 14496-12 says."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from endoexit.images.video.upright import square_pixels, upright

TURNS = [(a, 0, 0, d) for a, d in product((1, -1), repeat=2)]
TURNS += [(0, b, c, 0) for b, c in product((1, -1), repeat=2)]


@pytest.mark.parametrize("turn", TURNS)
def test_each_pixel_goes_where_the_matrix_says(turn):
    a, b, c, d = turn
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    places = {(a * x + c * y, b * x + d * y): pixels[y, x] for y in range(3) for x in range(5)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    turned = upright(pixels, turn)
    assert turned.shape == ((3, 5, 3) if a else (5, 3, 3))
    for (x, y), value in places.items():
        assert (turned[y - top, x - left] == value).all()


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (None, (720, 576)),
        (Fraction(0), (720, 576)),
        (Fraction(1), (720, 576)),
        (Fraction(16, 15), (768, 576)),
        (Fraction(1000), (720, 576)),
    ],
)
def test_the_width_is_stretched_to_square_pixels(aspect, size):
    assert square_pixels(720, 576, aspect) == size
