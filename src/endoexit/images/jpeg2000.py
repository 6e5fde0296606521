"""JPEG 2000 of other depths than 8 bits, by imagecodecs.

Pillow turns white into black where a colour has more than 8 bits, and stretches fewer
bits wrongly.
"""

import re
import struct

import numpy as np

from endoexit.images.pixels import Pixels, over_black, scale_table
from endoexit.images.refusals import check_size, unsupported

_COLOURS = {"L": 1, "I;16": 1, "LA": 1, "RGB": 3, "RGBA": 3}
_SYCC = re.compile(rb"colr\x01..\0\0\0\x12", re.S)


def decode_jpeg2000(data: bytes, mode: str) -> Pixels | None:
    """Return the pixels of an image as RGB, uint8 (height, width, 3).

    Args:
        data: The whole file.
        mode: Pillow's mode of the image, which says what the components are.

    Returns:
        The pixels; None for 8 bits, which Pillow reads right, and for a damaged header.

    Raises:
        ImageError: The image is of a kind that is not supported.
    """
    start = data.find(b"\xff\x4f\xff\x51") + 4
    bits = _bits(data, start)
    if bits is None or bits == 8:
        return None
    boxes = data[:start]
    if mode not in _COLOURS or b"pclr" in boxes or _SYCC.search(boxes):
        raise unsupported("JPEG 2000", f"{bits}-bit values that are neither grey nor RGB")
    # The header of the file may announce another size than the data that are decoded.
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 4)
    check_size(right - left, bottom - top)
    import imagecodecs  # noqa: PLC0415  few files are so

    values = imagecodecs.jpeg2k_decode(data)
    scaled: Pixels = scale_table(bits)[values.reshape(*values.shape[:2], -1)]
    colours = scaled[..., : _COLOURS[mode]]
    if colours.shape[-1] == 1:
        colours = np.repeat(colours, 3, axis=-1)
    return over_black(colours, scaled[..., -1]) if mode.endswith("A") else colours


def _bits(data: bytes, start: int) -> int | None:
    """Return the bits of all components, from the table in the SIZ segment."""
    if start < 4 or len(data) < start + 41:
        return None
    (count,) = struct.unpack_from(">H", data, start + 36)
    depths = {data[at] for at in range(start + 38, min(start + 38 + 3 * count, len(data)), 3)}
    if any(depth & 0x80 for depth in depths):
        raise unsupported("JPEG 2000", "signed values, whose black and white are unknown")
    bits = sorted({depth + 1 for depth in depths})
    if len(bits) > 1:
        raise unsupported("JPEG 2000", f"values of different bits, {', '.join(map(str, bits))}")
    if bits and bits[0] > 16:
        raise unsupported("JPEG 2000", f"{bits[0]}-bit values")
    return bits[0] if bits else None
