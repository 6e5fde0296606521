"""Decoding of images: one copy for training, evaluation and inference."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from endoexit.errors import ImageError, counted
from endoexit.images.reference import ImageRef

MAX_PIXELS = 100_000_000
MAX_BYTES = 512 * 2**20
MIN_SIDE = 8

# Formats whose decoders are plain libraries: no EPS (starts Ghostscript), no PDF, no network.
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "PPM")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: Path | bytes, *, frame: int = 0, at_least: int | None = None
) -> npt.NDArray[np.uint8]:
    """Decode one image as upright 8-bit RGB.

    Greyscale and palette images become RGB, transparency is laid over black, 16
    bits are scaled to 8 (not clipped), CMYK is converted, the EXIF orientation
    is applied. Colour profiles are ignored.

    Args:
        source: a file, or its content.
        frame: number of the frame in a file of several (GIF, TIFF, animated PNG or WebP), from 0.
        at_least: a side in pixels. A JPEG may then be decoded at 1/2, 1/4 or 1/8
            of its size, as long as the shorter side stays at least this; resized
            on to `at_least`, the result is within about one grey level (mean
            absolute) of full decoding, at a fraction of its time.

    Returns:
        uint8 array (height, width, 3).

    Raises:
        ImageError: the file is missing, empty, not an image, damaged, without
            such a frame, over `MAX_PIXELS` (found in the header, before anything
            is decoded), or under `MIN_SIDE`.
    """
    name = None if isinstance(source, bytes) else ImageRef(source, frame)
    data = source if isinstance(source, bytes) else read_bytes(source)
    try:
        with _quiet_pillow():
            return np.array(_decode(data, frame, at_least))
    except ImageError as error:
        raise ImageError(error.fault, name) from error.__cause__


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        ImageError: it is missing, not a file, unreadable or over `MAX_BYTES`.
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


def _decode(data: bytes, frame: int, at_least: int | None) -> Image.Image:
    """Return one frame as an upright RGB image."""
    if not data:
        raise ImageError("is empty (0 bytes): restore it from its source or remove it.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _to_frame(image, frame)
            _check_size(image)
            if at_least is not None:
                image.draft(None, (at_least, at_least))  # JPEG only; the others ignore it
            image.load()
            return _upright(_to_rgb(image), image)
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"is not an image that can be read ({', '.join(FORMATS)}), whatever its name "
            "says: convert it or remove it."
        ) from error
    except Exception as error:  # decoders meet damaged files with errors of every kind
        raise ImageError(
            f"is damaged or cut off ({error}): copy it again from its source or remove it."
        ) from error


def _to_frame(image: Image.Image, frame: int) -> None:
    """Turn to a frame of a file that may have several."""
    if frame == 0:
        return
    frames = getattr(image, "n_frames", 1)
    if frame >= frames:
        raise ImageError(
            f"has no frame {frame} ({counted(frames, 'frame')}, counted from 0): correct the "
            "number of the frame."
        )
    image.seek(frame)


def _check_size(image: Image.Image) -> None:
    """Refuse by the header alone what is too large to decode or too small to mean anything."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large()
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"is too small ({width}×{height} pixels, each side needs {MIN_SIDE} or more): "
            "restore the original image or remove it."
        )


def _too_large() -> ImageError:
    return ImageError(
        f"is too large: its header announces more than {MAX_PIXELS // 10**6} megapixels, "
        "so it was not decoded; scale it down or remove it."
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"}):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise ImageError(
            "holds 32-bit values, whose black and white are unknown: convert it to 8 or 16 bits."
        )
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    black = Image.new("RGB", image.size)
    black.paste(layered, mask=layered.getchannel("A"))
    return black


def _upright(image: Image.Image, source: Image.Image) -> Image.Image:
    """Apply the EXIF orientation of `source` (its decoder may have done so already)."""
    try:
        orientation = source.getexif().get(_ORIENTATION_TAG)
    except Exception:  # unreadable EXIF says nothing about the pixels
        return image
    transpose = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if transpose is None else image.transpose(transpose)


_quiet_lock = threading.Lock()
_quiet_users = 0
_quiet_stack = contextlib.ExitStack()


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Hold back Pillow's warnings while any thread decodes.

    `warnings.catch_warnings` swaps a list that belongs to the whole process, so threads that
    overlap share one: the first sets it, the last takes it back.
    """
    global _quiet_users  # noqa: PLW0603
    with _quiet_lock:
        if _quiet_users == 0:
            _quiet_stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_users += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users -= 1
            if _quiet_users == 0:
                _quiet_stack.close()
