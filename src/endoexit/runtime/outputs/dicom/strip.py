"""The strip of text that captures show next to their image."""

import functools
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from endoexit.images.pixels import Pixels
from endoexit.runtime.outputs.dicom.answers import USE, WORDS, Answer, ModelFacts

_LEAST_LETTERS, _IMAGE_LINES = 12, 30  # pixels of a letter; lines on the height of an image
_COLUMNS = 36  # letters of a line
_BACKGROUND, _TEXT, _WARNING = (16, 16, 16), (235, 235, 235), (255, 205, 90)


def add_strip(pixels: Pixels, answer: Answer, model: ModelFacts) -> Pixels:
    """Return an image with its answer to the right of it.

    The image is in the upper left corner, unchanged. Where the text is higher than the image, the
    rest below the image is dark.

    Args:
        pixels: Image, uint8 (height, width, 3).
        answer: Answer on it.
        model: Model that answered.

    Returns:
        Image and strip, uint8 (height or more, more than width, 3).
    """
    height, width = pixels.shape[:2]
    size = max(_LEAST_LETTERS, height // _IMAGE_LINES)
    font = ImageFont.truetype(str(_font_file()), size)
    step, margin = round(1.4 * size), size
    lines = [(drawable(text), colour) for text, colour in _lines(answer, model)]
    strip_width = 2 * margin + round(max(font.getlength(text) for text, _ in lines))
    strip_height = max(height, 2 * margin + step * len(lines))
    strip = Image.new("RGB", (strip_width, strip_height), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for number, (text, colour) in enumerate(lines):
        draw.text((margin, margin + step * number), text, fill=colour, font=font)
    capture = np.full((strip_height, width + strip_width, 3), _BACKGROUND, dtype=np.uint8)
    capture[:height, :width] = pixels
    capture[:, width:] = np.asarray(strip)
    return capture


def _lines(answer: Answer, model: ModelFacts) -> list[tuple[str, tuple[int, int, int]]]:
    """Return the lines of the strip with their colours."""
    said = [] if answer.label is None else [answer.label]
    if answer.probability is not None:
        said.append(f"{100 * answer.probability:.1f} %")
    if answer.exit is not None:
        said.append(f"exit {answer.exit} of {model.stages}")
    status = [] if answer.status == "answered" else [WORDS[answer.status]]
    facts = [
        *(f"Promise of the policy: {words}" for words in model.promise_lines()),
        f"endoexit {model.version}, {model.name}, weights {model.weights[:12]}",
    ]
    parts = ((said, _TEXT), (status, _WARNING), (facts, _TEXT), ([USE], _WARNING))
    return [
        (line, colour)
        for texts, colour in parts
        for text in texts
        for line in textwrap.wrap(text, _COLUMNS) or [""]
    ]


def drawable(text: str) -> str:
    """Return text in which characters that the font lacks are escaped, not drawn as boxes."""
    known = _known_characters()
    return "".join(
        character if ord(character) in known else character.encode("unicode_escape").decode()
        for character in text
    )


@functools.cache
def _font_file() -> Path:
    import matplotlib as mpl  # noqa: PLC0415  only captures need its font

    return Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@functools.cache
def _known_characters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415

    return frozenset(FT2Font(str(_font_file())).get_charmap())
