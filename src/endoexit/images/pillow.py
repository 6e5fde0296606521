"""All formats but TIFF and DICOM, by Pillow."""

import contextlib
import io
import re

import numpy as np
from PIL import Image, UnidentifiedImageError

from endoexit.errors import ImageError
from endoexit.images.formats import FORMATS, format_of
from endoexit.images.jpeg import check_jpeg, decode_jpeg
from endoexit.images.jpeg2000 import decode_jpeg2000
from endoexit.images.pixels import Pixels, over_black, scale_table, upright
from endoexit.images.png import (
    refuse_missing_rows,
    refuse_other_orders,
    with_one_transparent_value,
    without_metadata,
)
from endoexit.images.refusals import check_size, damaged, no_frame, too_large, unsupported
from endoexit.silence import warnings_held_back

_FORMATS = tuple(name for name in FORMATS if name not in {"TIFF", "DICOM"})

_ORIENTATION_TAG = 0x0112
_PILLOW = r"PIL\."

# Words by which Pillow says that a file is valid, but of a kind that it does not read.
_UNREAD = re.compile(
    r"cannot handle|unsupported|not supported|unknown (raw|pixel) mode|unable to determine", re.I
)


def read_by_pillow(data: bytes, frame: int, at_least: int | None) -> Pixels:
    """Decode one frame as upright RGB, uint8 (height, width, 3).

    Args:
        data: Content of the file.
        frame: Number of the frame, from 0.
        at_least: A side in pixels; a JPEG may be decoded at a fraction of its size above it.

    Raises:
        ImageError: It is damaged, too large, too small or of a kind that is not supported.
    """
    with warnings_held_back(_PILLOW):
        try:
            return _decode(data, frame, at_least)
        except ImageError as error:
            # Metadata decide no pixel: beyond Pillow's bounds, or damaged, they are left out.
            if error.kind != "damaged" or frame or format_of(data) != "PNG":
                raise
            bare = without_metadata(data)
            if bare is None:
                raise
            return _decode(bare, frame, at_least)


def scaled_size(data: bytes, at_least: int) -> tuple[int, int] | None:
    """Return width and height that a JPEG is decoded at; None where its header is damaged."""
    with (
        warnings_held_back(_PILLOW),
        contextlib.suppress(Exception),  # reading it says what is wrong
        Image.open(io.BytesIO(data), formats=_FORMATS) as image,
    ):
        image.draft(None, (at_least, at_least))
        return image.size
    return None


def _decode(data: bytes, frame: int, at_least: int | None) -> Pixels:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _to_frame(image, frame)
            check_size(*image.size)
            if image.format == "PNG":
                refuse_other_orders(data)
            if at_least is not None:
                image.draft(None, (at_least, at_least))  # JPEG only; the others ignore it
            pixels = _by_other_library(image, data, frame)
            if pixels is None:
                image.load()
                if image.format == "PNG" and frame == 0:
                    refuse_missing_rows(data, image)
                pixels = _rgb(image)
            return upright(pixels, _orientation(image))
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise too_large() from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # decoders meet damaged files with errors of every kind
        raise _fault(error, format_of(data)) from error


def _to_frame(image: Image.Image, frame: int) -> None:
    """Turn to a frame of a file that may have several."""
    if frame == 0:
        return
    frames = getattr(image, "n_frames", 1)
    if frame >= frames:
        raise no_frame(frame, frames)
    image.seek(frame)


def _by_other_library(image: Image.Image, data: bytes, frame: int) -> Pixels | None:
    """Return pixels where another library reads more faithfully, before they are turned."""
    if image.format in {"JPEG", "MPO"} and frame == 0:
        if image.mode in {"L", "RGB"}:
            return decode_jpeg(data, *image.size)
        check_jpeg(data, len(image.getbands()))
    if image.format == "JPEG2000":
        return decode_jpeg2000(data, image.mode)
    if image.format == "PNG" and frame == 0 and b"tRNS" in data.partition(b"IDAT")[0]:
        return with_one_transparent_value(data)
    return None


def _rgb(image: Image.Image) -> Pixels:
    """Return decoded pixels as RGB, without turning them."""
    form = image.format or ""
    if image.mode.startswith("I;16") or (image.mode == "I" and form in {"PNG", "PPM"}):
        grey = scale_table(16)[np.asarray(image).astype(np.uint16)]
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in {"I", "F"}:
        raise unsupported(form, "32-bit values, whose black and white are unknown")
    try:
        if not image.has_transparency_data:
            return np.array(image.convert("RGB"))
        layered = np.asarray(image.convert("RGBA"))
    except ValueError as error:
        raise unsupported(form, f"pixels of mode {image.mode}") from error
    return over_black(np.ascontiguousarray(layered[..., :3]), layered[..., 3])


def _orientation(image: Image.Image) -> object:
    """Return the EXIF orientation (the decoder may have applied and dropped it already)."""
    try:
        return image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # unreadable EXIF says nothing about the pixels
        return None


def _unidentified(data: bytes) -> ImageError:
    """Return the error of a file that no format of Pillow accepts."""
    form = format_of(data)
    if form in _FORMATS:
        factory, _ = Image.OPEN[form]
        try:
            factory(io.BytesIO(data), "")
        except Exception as error:  # damaged headers give errors of every kind
            return _fault(error, form)
    if form is not None:
        return ImageError(
            f"is a {form}, a format that is not supported: convert it to PNG.", kind="not supported"
        )
    return ImageError(
        f"is not an image that can be read ({', '.join(FORMATS)}), whatever its name "
        "says: convert it or remove it.",
        kind="not an image",
    )


def _fault(error: Exception, form: str | None) -> ImageError:
    """Return what an error of Pillow means for the user."""
    if form is not None and _UNREAD.search(str(error)):
        return unsupported(form, str(error))
    return damaged(error)
