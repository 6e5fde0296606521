"""Arithmetic on decoded pixels that all readers share."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def scale_table(bits: int, *, inverted: bool = False) -> Pixels:
    """Return the 8-bit value of every value of `bits` bits, rounded to the nearest.

    Args:
        bits: Bits of a value, 1 to 16.
        inverted: The value 0 is white.
    """
    largest = 2**bits - 1
    values = (np.arange(largest + 1, dtype=np.uint32) * 255 + largest // 2) // largest
    table: Pixels = values.astype(np.uint8)
    return table[::-1] if inverted else table


def over_black(colours: Pixels, alpha: Pixels) -> Pixels:
    """Lay colours (height, width, 3), not multiplied by alpha yet, over black.

    Programs write alpha that is 0 everywhere for images without transparency, so it is ignored.
    """
    if not alpha.any():
        return colours
    layered = colours.astype(np.uint16)
    layered *= alpha[..., None]
    layered += 127
    layered //= 255
    return layered.astype(np.uint8)


def upright(image: Pixels, orientation: object) -> Pixels:
    """Turn or mirror an image as its Orientation tag (EXIF, TIFF) says; 1 is upright."""
    if orientation in {5, 6, 7, 8}:
        image = image.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        image = image[::-1]
    if orientation in {2, 3, 6, 7}:
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
