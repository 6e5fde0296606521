"""The answer is drawn next to the image, never on it."""

import numpy as np
import pytest

from dicom_answers import MODEL
from dicom_makers import picture
from endoexit.runtime.outputs.dicom.answers import Answer
from endoexit.runtime.outputs.dicom.strip import add_strip, drawable

ANSWER = Answer(1, 0, "answered", "Pólyp", 0.875, 2)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (300, 200), (1080, 1920)])
def test_the_image_is_in_the_corner_untouched(height: int, width: int):
    pixels = picture(height, width)
    shown = add_strip(pixels, ANSWER, MODEL)
    np.testing.assert_array_equal(shown[:height, :width], pixels)
    assert shown.shape[0] >= height
    strip = shown[:, width:]
    assert (strip > 200).any()
    assert (strip[:4] == strip[0, 0]).all()  # nothing is cut off at the edges
    assert (strip[:, -4:] == strip[0, 0]).all()
    assert (strip[-4:] == strip[0, 0]).all()


def test_another_answer_is_another_strip():
    pixels = picture(300, 200)
    first = add_strip(pixels, ANSWER, MODEL)
    for answer in (Answer(1, 0, "unsure", exit=4), Answer(1, 0, "answered", "Pólyp", 0.875, 3)):
        assert not np.array_equal(first, add_strip(pixels, answer, MODEL))


def test_characters_that_the_font_lacks_are_escaped():
    assert drawable("Pólyp Полип") == "Pólyp Полип"
    assert drawable("息肉") == "\\u606f\\u8089"
