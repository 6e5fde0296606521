"""Decoding of images: one copy for training, evaluation and inference."""

import contextlib
import functools
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from endoexit.errors import ImageError
from endoexit.files import LFS_FAULT, is_lfs_pointer, sha256_bytes
from endoexit.images.dicom.recognise import is_encrypted
from endoexit.images.formats import format_of
from endoexit.images.pillow import read_by_pillow, scaled_size
from endoexit.images.pixels import Pixels
from endoexit.images.reference import ImageRef
from endoexit.images.refusals import MAX_BYTES, unsupported
from endoexit.images.tiff import read_tiff

# Raise this whenever decoding changes: cached pixels are kept apart by it. Ordinary files keep
# their pixels, so bundles and policies stay valid; if those change too, raise `ALGORITHM_VERSION`.
DECODER_VERSION = 3

_LIBRARIES = ("pillow", "simplejpeg", "tifffile", "imagecodecs")
_DICOM_LIBRARIES = ("pydicom", "pyjpegls", "pylibjpeg-openjpeg", "python-gdcm")


def read_image(source: Path | bytes, *, frame: int = 0, at_least: int | None = None) -> Pixels:
    """Decode one image as upright 8-bit RGB.

    Greyscale and palette images become RGB, transparency is laid over black
    (alpha that is 0 everywhere is ignored), 16 bits are scaled to 8 (not
    clipped), CMYK is converted, the orientation of EXIF or TIFF is applied.
    Colour profiles are ignored.

    Args:
        source: A file, or its content.
        frame: Number of the frame in a file of several (GIF, TIFF, animated PNG or WebP, DICOM),
            from 0.
        at_least: A side in pixels. A JPEG may then be decoded at 1/2, 1/4 or 1/8
            of its size, as long as the shorter side stays at least this; resized
            on to `at_least`, the result is within about one grey level (mean
            absolute) of full decoding, at a fraction of its time.

    Returns:
        uint8 array (height, width, 3).

    Raises:
        ImageError: The file is missing, empty, not an image, damaged, of a kind
            that is not supported, without such a frame, over `MAX_PIXELS` (found
            in the header, before anything is decoded), or under `MIN_SIDE`.
    """
    name = None if isinstance(source, bytes) else ImageRef(source, frame)
    data = source if isinstance(source, bytes) else read_bytes(source)
    try:
        return _decode(data, frame, at_least)
    except ImageError as error:
        raise error.named(name) from error.__cause__


def read_at_sizes(source: Path | bytes, sides: Sequence[int], *, frame: int = 0) -> list[Pixels]:
    """Decode one image for several sizes: each answer is that of `read_image` with `at_least`.

    The file is read once, and decoded once for each scale of a JPEG that the sides ask for: mostly
    once in all.

    Args:
        source: A file, or its content.
        sides: Sides in pixels, see `at_least` of `read_image`.
        frame: Number of the frame, from 0.

    Raises:
        ImageError: See `read_image`.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    decoded: dict[Any, Pixels] = {}
    answers = []
    for side in sides:
        scale = _scale(data, side)
        if scale not in decoded:
            decoded[scale] = read_image(data, frame=frame, at_least=side)
        answers.append(decoded[scale])
    return answers


def _scale(data: bytes, side: int) -> Any:
    """Return what tells the scales apart that an image may be decoded at."""
    form = format_of(data)
    if form == "DICOM":  # its frames may be JPEGs
        return side
    return scaled_size(data, side) if form == "JPEG" else None


def _decode(data: bytes, frame: int, at_least: int | None) -> Pixels:
    if not data:
        raise ImageError(
            "is empty (0 bytes): restore it from its source or remove it.", kind="empty"
        )
    if is_lfs_pointer(data):
        raise ImageError(LFS_FAULT)
    form = format_of(data)
    if form == "TIFF":
        return read_tiff(data, frame)
    if form == "DICOM":
        from endoexit.images.dicom.read import read_dicom  # noqa: PLC0415  an extra

        return read_dicom(data, frame, at_least)
    if is_encrypted(data):
        raise unsupported("DICOM object", "an encrypted envelope, whose key only its owner has")
    return read_by_pillow(data, frame, at_least)


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        ImageError: It is missing, not a file, unreadable or over `MAX_BYTES`.
    """
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is not None and size <= MAX_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}.", path) from error
    if size is not None:
        limit = MAX_BYTES // 2**20
        raise ImageError(f"is larger than {limit} MiB: convert it to a smaller image.", path)
    fault = "is not a file" if path.exists() else "does not exist"
    raise ImageError(f"{fault}: check the path.", path)


@functools.cache
def decoder() -> str:
    """Return a name for all that decides which pixels a file gives: our version and the libraries'.

    Two decoders of one name give the same pixels.
    """
    parts = [str(DECODER_VERSION), *(f"{name} {version(name)}" for name in _LIBRARIES)]
    for name in _DICOM_LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            parts.append(f"{name} {version(name)}")
    return sha256_bytes("\n".join(parts).encode())[:16]
