"""What surrounds the view: black border and position inset.

A network learns what is easiest: where one class alone was recorded with another
border, or with the green position inset of the endoscope (or the black square
that was painted over it), that predicts the class without a look at the tissue.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

BORDERED = 0.05  # share of the image from which a black border counts as one
_SIDE = 128  # measured at about this size
_BLACK = 20  # a pixel is black when no channel is above this (of 255)
_GREEN = 20  # the inset's green exceeds red by more than this; tissue is red
_INSET_AREA = 0.02  # of the image
_INSET_FILL = 0.5  # of its bounding box

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds the view in one image.

    Attributes:
        border: Share of the image that is black and connected to its edge.
        inset: Place of a position inset, as "green lower left"; "" for none.
    """

    border: float
    inset: str


def measure_frame(image: npt.NDArray[np.uint8]) -> Frame:
    """Measure black border and position inset of an RGB image.

    An inset is an area in a corner, connected to the edge, green or black, that
    has no black counterpart in the mirror images of the corner (a field of view
    is about symmetric), covers 2 % of the image, and fills half of its bounding box.

    Args:
        image: Array uint8 (height, width, 3).
    """
    whole = Image.fromarray(image)
    small = np.asarray(whole.reduce(max(1, round(max(whole.size) / _SIDE)))).astype(np.int16)
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    is_black = small.max(axis=2) <= _BLACK
    is_green = (green > red + _GREEN) & (green >= blue)
    outside = _touching_edge(is_black | is_green)
    black = is_black & outside
    return Frame(round(float(black.mean()), 4), _find_inset(black, is_green & outside))


def field_of_view(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return where an RGB image (height, width, 3) shows something: all but its black border."""
    return ~_touching_edge(image.max(axis=2) <= _BLACK)


def _touching_edge(mask: _Mask) -> _Mask:
    """Return the connected areas of `mask` that reach the edge of the image."""
    labels, _ = ndimage.label(mask)
    edge = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    return np.isin(labels, np.unique(edge[edge > 0]))


def _find_inset(black: _Mask, green: _Mask) -> str:
    best, inset = 0.0, ""
    for vertical in ("upper", "lower"):
        for horizontal in ("left", "right"):
            rows = slice(None, None, -1 if vertical == "lower" else 1)
            columns = slice(None, None, -1 if horizontal == "right" else 1)
            area, is_green = _inset_area(black[rows, columns], green[rows, columns])
            if area > best:
                best, inset = area, f"{'green' if is_green else 'black'} {vertical} {horizontal}"
    return inset


def _inset_area(black: _Mask, green: _Mask) -> tuple[float, bool]:
    """Return the share of the image of an inset in its upper left, and whether it is green."""
    height, width = black.shape
    alone = green | (black & ~black[::-1] & ~black[:, ::-1])
    labels, _ = ndimage.label(alone[: height // 2, : width // 2])
    best, is_green = 0.0, False
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        area = labels[box] == number
        share = float(area.sum()) / black.size
        if share >= max(best, _INSET_AREA) and area.mean() >= _INSET_FILL:
            best, is_green = share, bool(green[box][area].mean() > 0.5)
    return best, is_green
