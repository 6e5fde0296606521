"""Frames as they are to be shown: turned, mirrored and with square pixels."""

import struct
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.images.refusals import unsupported

Pixels = npt.NDArray[np.uint8]
Turn = tuple[int, int, int, int]

UPRIGHT: Turn = (1, 0, 0, 1)
_MATRIX = struct.Struct("=9i")
_ONE = 1 << 16
_MOST_STRETCHED = 4


def turn_of(frame: Any) -> Turn:
    """Return the signs (a, b, c, d) of a frame's display matrix (ISO/IEC 14496-12).

    A pixel at (x, y) is to be shown at (a·x + c·y, b·x + d·y), y pointing down.

    Raises:
        ImageError: The frame is to be turned by another angle than quarters.
    """
    for side in frame.side_data:
        if getattr(side.type, "name", "") == "DISPLAYMATRIX" and len(bytes(side)) == _MATRIX.size:
            a, b, _, c, d, *_ = _MATRIX.unpack(bytes(side))
            turn = tuple(round(value / _ONE) for value in (a, b, c, d))
            if sorted(map(abs, turn)) != [0, 0, 1, 1] or abs(turn[0]) != abs(turn[3]):
                raise unsupported("video", "turned by another angle than 90, 180 or 270 degrees")
            return turn[0], turn[1], turn[2], turn[3]
    return UPRIGHT


def upright(pixels: Pixels, turn: Turn) -> Pixels:
    """Return a frame (h, w, 3) turned and mirrored as its display matrix says."""
    a, b, c, d = turn
    if b:  # x becomes y: rows become columns
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def square_pixels(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the size at which a frame has square pixels: its width is stretched.

    Args:
        width: Width in stored pixels.
        height: Height in stored pixels.
        aspect: Width of a stored pixel by its height; None, 0 or an absurd one counts as 1.
    """
    if not aspect or not Fraction(1, _MOST_STRETCHED) <= aspect <= _MOST_STRETCHED:
        return width, height
    return max(1, round(width * aspect)), height
