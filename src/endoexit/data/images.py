"""Decoding and preprocessing of images: one copy for training, evaluation and inference."""

import contextlib
import functools
import hashlib
import io
import json
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from endoexit.errors import DataError, ImageError
from endoexit.records import Record

MAX_PIXELS = 100_000_000
MAX_BYTES = 512 * 2**20
MIN_SIDE = 8

# Formats whose decoders are plain libraries: no EPS (starts Ghostscript), no PDF, no network.
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "PPM")

# Raise this whenever the same file would give other pixels: caches and bundles compare it.
ALGORITHM_VERSION = 1

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

_Positive = Annotated[float, Field(gt=0)]


def read_image(source: Path | bytes, *, at_least: int | None = None) -> npt.NDArray[np.uint8]:
    """Decode one image as upright 8-bit RGB.

    Greyscale and palette images become RGB, transparency is laid over black, 16
    bits are scaled to 8 (not clipped), CMYK is converted, the EXIF orientation
    is applied. Colour profiles are ignored. Of a file with several frames (GIF,
    TIFF, animated PNG or WebP) the first is read.

    Args:
        source: a file, or its content.
        at_least: a side in pixels. A JPEG may then be decoded at 1/2, 1/4 or 1/8
            of its size, as long as the shorter side stays at least this; resized
            on to `at_least`, the result is within about one grey level (mean
            absolute) of full decoding, at a fraction of its time.

    Returns:
        uint8 array (height, width, 3).

    Raises:
        ImageError: the file is missing, empty, not an image, damaged, over
            `MAX_PIXELS` (found in the header, before anything is decoded), or
            under `MIN_SIDE`.
    """
    name = "the image" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_bytes(source)
    if not data:
        raise ImageError(f"{name} is empty (0 bytes): restore it from its source or remove it.")
    with _quiet_pillow():
        return np.array(_decode(data, name, at_least))


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
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size is not None:
        limit = MAX_BYTES // 2**20
        raise ImageError(f"{path} is larger than {limit} MiB: convert it to a smaller image.")
    fault = "is not a file" if path.exists() else "does not exist"
    raise ImageError(f"{path} {fault}: check the path.")


@functools.lru_cache(maxsize=16)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what a row of pixels (size · 3) is multiplied by, and what is then subtracted."""
    scale, shift = 1 / (255 * np.array(std)), np.array(mean) / np.array(std)
    return np.tile(scale, size).astype(np.float32), np.tile(shift, size).astype(np.float32)


class Preprocessing(Record):
    """How any image becomes the square that a network takes; travels with the weights.

    Resizing is antialiased bilinear interpolation. The image is resized to
    round(size / crop_ratio), then the central size × size square is kept.

    Attributes:
        size: side of the network's input, in pixels.
        resize: `stretch` resizes both sides (the whole image stays in view);
            `shorter-side` keeps the aspect ratio, and crops the longer side.
        crop_ratio: share of the resized (shorter) side that the crop keeps.
        mean: subtracted per channel (R, G, B), on a scale of 0 to 1.
        std: divided by per channel, on the same scale.
    """

    size: int = Field(default=224, ge=MIN_SIDE, le=4096)
    resize: Literal["stretch", "shorter-side"] = "stretch"
    crop_ratio: float = Field(default=1.0, ge=0.1, le=1.0)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[_Positive, _Positive, _Positive] = (0.5, 0.5, 0.5)

    def load(self, source: Path | bytes) -> npt.NDArray[np.uint8]:
        """Read one image and return it as uint8 (size, size, 3).

        Raises:
            ImageError: it cannot be read.
        """
        return self.apply(read_image(source, at_least=self._resized_side))

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Resize and crop an RGB image, uint8 (height, width, 3), to uint8 (size, size, 3).

        Raises:
            ImageError: the array has another shape or type, or is too elongated.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ImageError(
                "an image must be a uint8 array (height, width, 3), "
                f"got {image.dtype} {image.shape}: convert it to 8-bit RGB."
            )
        height, width = image.shape[:2]
        side = self._resized_side
        wide, high = side, side
        if self.resize == "shorter-side":
            shorter = min(height, width)
            wide, high = round(width * side / shorter), round(height * side / shorter)
            if wide * high > MAX_PIXELS:
                raise ImageError(
                    f"the image is too elongated ({width}×{height} pixels): with a shorter side of "
                    f"{side} it has more than {MAX_PIXELS // 10**6} megapixels; crop it or remove "
                    "it."
                )
        left, top = (wide - self.size) // 2, (high - self.size) // 2
        resized = Image.fromarray(image).resize((wide, high), Image.Resampling.BILINEAR)
        return np.array(resized.crop((left, top, left + self.size, top + self.size)))

    def normalise(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Turn uint8 (B, S, S, 3) into what a network takes: float32 (B, 3, S, S).

        Each value v becomes (v / 255 − mean) / std. In memory the channels stay last, as networks
        and their engines keep them, and nothing is turned around.

        Raises:
            DataError: the batch has another shape or type.
        """
        expected = (self.size, self.size, 3)
        if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != expected:
            raise DataError(
                f"a batch must be a uint8 array (B, {self.size}, {self.size}, 3), "
                f"got {batch.dtype} {batch.shape}: pass images through apply() first."
            )
        scale, shift = _scale_and_shift(self.mean, self.std, self.size)
        rows = batch.reshape(-1, 3 * self.size).astype(np.float32)
        rows *= scale
        rows -= shift
        return rows.reshape(batch.shape).transpose(0, 3, 1, 2)

    def canvas(self, size: int) -> "Preprocessing":
        """Return the preprocessing that training crops from: the whole image stretched to `size`.

        Mean and standard deviation stay.
        """
        return Preprocessing(size=size, mean=self.mean, std=self.std)

    def geometry(self) -> str:
        """Return a SHA-256 over what decides the uint8 pixels: not mean and standard deviation."""
        return self._digest(self.model_dump(include={"size", "resize", "crop_ratio"}))

    def fingerprint(self) -> str:
        """Return a SHA-256 over all fields and the version of the algorithm."""
        return self._digest(self.model_dump())

    @property
    def _resized_side(self) -> int:
        return round(self.size / self.crop_ratio)

    @staticmethod
    def _digest(fields: dict[str, object]) -> str:
        text = json.dumps({"algorithm": ALGORITHM_VERSION, **fields}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _decode(data: bytes, name: str, at_least: int | None) -> Image.Image:
    """Return the first frame as an upright RGB image."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, name)
            if at_least is not None:
                image.draft(None, (at_least, at_least))  # JPEG only; the others ignore it
            image.load()
            return _upright(_to_rgb(image, name), image)
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image that can be read ({', '.join(FORMATS)}), whatever its name "
            "says: convert it or remove it."
        ) from error
    except Exception as error:  # decoders meet damaged files with errors of every kind
        raise ImageError(
            f"{name} is damaged or cut off ({error}): copy it again from its source or remove it."
        ) from error


def _check_size(image: Image.Image, name: str) -> None:
    """Refuse by the header alone what is too large to decode or too small to mean anything."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name)
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{name} is too small ({width}×{height} pixels, each side needs {MIN_SIDE} or more): "
            "restore the original image or remove it."
        )


def _too_large(name: str) -> ImageError:
    return ImageError(
        f"{name} is too large: its header announces more than {MAX_PIXELS // 10**6} megapixels, "
        "so it was not decoded; scale it down or remove it."
    )


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"}):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise ImageError(
            f"{name} holds 32-bit values, whose black and white are unknown: "
            "convert it to 8 or 16 bits."
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
