"""TIFF by tifffile: every kind is read right or refused by name."""

import io
import logging
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.jpeg import check_jpeg, jpeg_size
from endoexit.images.pixels import Pixels, over_black, scale_table, upright
from endoexit.images.refusals import (
    MAX_PIXELS,
    check_size,
    damaged,
    no_frame,
    too_large,
    unsupported,
)

# Without a handler the library's remarks would go to standard error, without the file's name.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_SEGMENTS = 200_000
_MAX_DECODED = 2**30  # bytes

_JPEG = {7}
# None, CCITT (2, 3, 4), LZW, JPEG, Deflate (8, 32946), PackBits, LZMA, Zstandard.
_COMPRESSIONS = {1, 2, 3, 4, 5, *_JPEG, 8, 32946, 32773, 34925, 50000}

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_OTHER_COLOURS = {
    4: "a transparency mask",
    8: "CIE L*a*b* colours",
    9: "ICC L*a*b* colours",
    10: "ITU L*a*b* colours",
    32803: "the raw mosaic of a sensor",
    32844: "LogL values",
    32845: "LogLuv colours",
    34892: "raw values of a sensor",
}
_FORMATS = {
    2: "signed values",
    3: "floating-point values",
    5: "complex values",
    6: "complex values",
}
_ASSOCIATED, _UNASSOCIATED = 1, 2


def read_tiff(data: bytes, frame: int) -> Pixels:
    """Decode one page of a TIFF or BigTIFF, numbered from 0, as upright RGB.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ImageError: It is damaged, too large, too small or of a kind that is not supported.
    """
    import tifffile  # noqa: PLC0415  takes a tenth of a second, and few data sets are TIFF

    try:
        with tifffile.TiffFile(io.BytesIO(data), is_ome=False, is_shaped=False) as tiff:
            page = _page(tiff, frame)
            _check(page, data)
            return upright(_rgb(page), page.tags.valueof(274))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # damaged files give errors of every kind
        raise damaged(error) from error


def _page(tiff: Any, frame: int) -> Any:
    if frame == 0:
        return tiff.pages.first
    try:
        return tiff.pages[frame]
    except IndexError:
        raise no_frame(frame, len(tiff.pages)) from None


def _check(page: Any, data: bytes) -> None:
    """Refuse by the header what is not read, before anything is decoded."""
    check_size(page.imagewidth, page.imagelength)
    if fault := _fault(page):
        raise unsupported("TIFF", fault)
    width, height = page.imagewidth, page.imagelength
    if page.is_tiled and page.tilewidth and page.tilelength:
        width = math.ceil(width / page.tilewidth) * page.tilewidth
        height = math.ceil(height / page.tilelength) * page.tilelength
    values = width * height * page.samplesperpixel
    if width * height > 2 * MAX_PIXELS or values * np.dtype(page.dtype).itemsize > _MAX_DECODED:
        raise too_large()
    _check_segments(page, data)


def _fault(page: Any) -> str | None:
    """Return the property for which a page is not read, None if it is read."""
    return _fault_of_colours(page) or _fault_of_values(page) or _fault_of_layout(page)


def _fault_of_colours(page: Any) -> str | None:
    photometric = page.photometric
    if page.tags.valueof(262) is None:
        return "no photometric interpretation"
    if photometric not in _COLOURS:
        return _OTHER_COLOURS.get(photometric, f"photometric interpretation {photometric}")
    if photometric == _CMYK and page.tags.valueof(332, 1) != 1:
        return "inks other than CMYK"
    extra = page.samplesperpixel - _COLOURS[photometric]
    if extra < 0 or (_COLOURS[photometric] == 1 and extra > 1):
        return f"{page.samplesperpixel} values a pixel"
    return None


def _fault_of_values(page: Any) -> str | None:
    bits = page.bitspersample
    if page.sampleformat in _FORMATS:
        return f"{bits}-bit {_FORMATS[page.sampleformat]}, whose black and white are unknown"
    if not isinstance(bits, int):
        return f"values of different bits, {bits}"
    if bits > 16:
        return f"{bits}-bit values, whose black and white are unknown"
    return None


def _fault_of_layout(page: Any) -> str | None:
    if page.compression not in _COMPRESSIONS:
        return f"compression {getattr(page.compression, 'name', page.compression)}"
    if page.compression in _JPEG and page.bitspersample != 8:
        return f"JPEG of {page.bitspersample} bits"
    if page.imagedepth != 1:
        return "a volume"
    if page.planarconfig not in {1, 2}:
        return f"planar configuration {page.planarconfig}"
    if _is_ycbcr(page) and _fault_of_ycbcr(page):
        return "YCbCr of this kind without JPEG"
    return None


def _is_ycbcr(page: Any) -> bool:
    """Tell whether values are YCbCr after decompression (those of JPEG are RGB then)."""
    return bool(page.photometric == _YCBCR and page.compression not in _JPEG)


def _fault_of_ycbcr(page: Any) -> bool:
    coefficients = [top / bottom for top, bottom in _pairs(page.tags.valueof(529)) if bottom]
    levels = [top / bottom for top, bottom in _pairs(page.tags.valueof(532)) if bottom]
    return bool(
        page.bitspersample != 8
        or page.tags.valueof(530) != (1, 1)  # by default colours have half the resolution
        or (coefficients and not np.allclose(coefficients, (0.299, 0.587, 0.114), atol=1e-3))
        or (levels and levels != [0, 255, 128, 255, 128, 255])
    )


def _pairs(values: Any) -> list[tuple[int, int]]:
    """Return the fractions of a tag, given as numerators and denominators by turns."""
    flat = list(values or ())
    return list(zip(flat[::2], flat[1::2], strict=False))


def _check_segments(page: Any, data: bytes) -> None:
    """Refuse strips and tiles that are missing, outside of the file, or too many."""
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = math.prod(page.chunked)
    if expected > MAX_SEGMENTS:
        raise unsupported("TIFF", f"more than {MAX_SEGMENTS} strips")
    if len(offsets) != len(counts) or (len(offsets) < expected and not page.is_contiguous):
        raise damaged("strips or tiles are missing")
    for start, count in zip(offsets, counts, strict=True):
        whole = page.is_contiguous or (count > 0 and start + count <= len(data))
        if not whole or not 0 < start < len(data):
            raise damaged("strips or tiles are outside of the file")
        if page.compression in _JPEG:
            _check_jpeg_segment(data[start : start + count], page)


def _check_jpeg_segment(segment: bytes, page: Any) -> None:
    tables = page.jpegtables
    whole = tables[:-2] + segment[2:] if tables else segment
    width, height = jpeg_size(whole)
    if width * height > MAX_PIXELS:
        raise too_large()
    check_jpeg(whole, page.samplesperpixel if page.planarconfig == 1 else 1)


def _rgb(page: Any) -> Pixels:
    """Return the pixels of a page as RGB, without turning them."""
    # Planes, depth, height, width, samples: either there is one plane, or each has one sample.
    values = page.asarray(squeeze=False, maxworkers=1)[:, 0]
    values = values[0] if page.planarconfig == 1 else np.moveaxis(values[..., 0], 0, -1)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    count = _COLOURS[page.photometric]
    colours = _colours(page, values[..., :count])
    extra = page.samplesperpixel - count
    kinds = tuple(page.extrasamples) or ((_UNASSOCIATED,) if extra == 1 else ())
    if _UNASSOCIATED in kinds[:extra]:
        alpha = scale_table(page.bitspersample)[values[..., count + kinds.index(_UNASSOCIATED)]]
        return over_black(colours, alpha)
    return colours  # with associated alpha the colours are over black already


def _colours(page: Any, values: npt.NDArray[Any]) -> Pixels:
    """Return colours without alpha as RGB: values (height, width, 1, 3 or 4) to uint8."""
    if page.photometric == _PALETTE:
        chosen: Pixels = _palette(page)[values[..., 0]]
        return chosen
    inverted = page.photometric == _WHITE_IS_ZERO
    scaled: Pixels = scale_table(page.bitspersample, inverted=inverted)[values]
    if page.photometric == _CMYK:
        return _convert(scaled, "CMYK")
    if _is_ycbcr(page):
        return _convert(scaled, "YCbCr")
    return np.repeat(scaled, 3, axis=-1) if scaled.shape[-1] == 1 else scaled


def _convert(values: Pixels, mode: str) -> Pixels:
    size = values.shape[1], values.shape[0]
    return np.asarray(Image.frombytes(mode, size, values.tobytes()).convert("RGB"))


def _palette(page: Any) -> Pixels:
    """Return the colours of a palette, uint8 (entries, 3)."""
    entries = np.asarray(page.colormap).T
    if entries.shape != (2**page.bitspersample, 3):
        raise damaged("its palette is not whole")
    if entries.max() < 256:  # written by programs that took the 16 bits for 8
        return entries.astype(np.uint8)
    scaled: Pixels = scale_table(16)[entries]
    return scaled
