"""JPEG pixels by libjpeg-turbo, which tells when the compressed data end too early.

Pillow uses the same library and gives the same pixels, but drops its warnings: a file
that was cut in the middle and ends with an end marker would be filled with grey.
"""

import re

import simplejpeg

from endoexit.images.pixels import Pixels
from endoexit.images.refusals import damaged

# The other warnings (bytes to spare between segments, say) are of files that are complete.
_LOST = re.compile(r"premature end of data|bad Huffman|found marker|bad arithmetic", re.I)


def decode_jpeg(data: bytes, width: int, height: int) -> Pixels | None:
    """Return the pixels of a grey or three-colour JPEG, uint8 (height, width, 3).

    Args:
        data: The whole file.
        width: Width to decode to: that of the image, or 1/2, 1/4 or 1/8 of it, rounded up.
        height: Height of the same scale.

    Returns:
        The pixels; None where libjpeg has anything else to say, so that another reader decides.

    Raises:
        ImageError: Compressed data are missing or damaged.
    """
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
    except ValueError as error:
        _refuse_lost(error)
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def check_jpeg(data: bytes, components: int) -> None:
    """Decode a JPEG at an eighth of its size, only to find damage.

    Raises:
        ImageError: Compressed data are missing or damaged.
    """
    try:
        simplejpeg.decode_jpeg(data, "CMYK" if components == 4 else "GRAY", min_factor=8)
    except ValueError as error:
        _refuse_lost(error)


def _refuse_lost(error: ValueError) -> None:
    if _LOST.search(str(error)):
        raise damaged(error) from error


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return the width and the height that a JPEG announces."""
    height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    return int(width), int(height)
