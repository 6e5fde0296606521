"""Photographs in the page: at the size they are shown at, with what the network saw over them."""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from endoexit.images.decode import read_image
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef

SIDE = 168  # the longer side, in CSS pixels
_QUALITY = 82
_HEAT = "viridis"  # rises in brightness too, so it can be read in greyscale

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photograph:
    """One image.

    Attributes:
        shown: Photograph as the page shows it, uint8 (h, w, 3).
        seen: The same part of the view as the network takes it, uint8 (S, S, 3).
    """

    shown: Pixels
    seen: Pixels


def open_photograph(image: ImageRef, preprocessing: Preprocessing) -> Photograph:
    """Read an image.

    An image that is stretched whole to the network's square is shown at its own proportions;
    of a cropped one the square is shown.

    Raises:
        ImageError: It cannot be read.
    """
    seen = preprocessing.load(image)
    shown = Image.fromarray(preprocessing.viewed(seen))
    if preprocessing.resize == "stretch" and preprocessing.crop_ratio == 1.0:
        shown = Image.fromarray(read_image(image.path, frame=image.frame, at_least=SIDE))
    scale = SIDE / max(shown.size)
    size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
    return Photograph(np.array(shown.resize(size, Image.Resampling.BILINEAR)), seen)


def resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map (h, w) at another size (width, height), by bilinear interpolation."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)


def heat_over(shown: Pixels, values: NDArray[np.float32], outline: Pixels | None = None) -> Pixels:
    """Lay a map over an image in grey: dark blue where it is least, yellow where it is most.

    Args:
        shown: Photograph (H, W, 3).
        values: Map (h, w) of the same view; its range is stretched over the colours.
        outline: Mask (S, S) of the same view, drawn as a white line.
    """
    height, width = shown.shape[:2]
    span = resized(values, (width, height))
    low, high = float(span.min()), float(span.max())
    level = (span - low) / (high - low) if high > low else np.zeros_like(span)
    grey = np.repeat(shown.mean(axis=2, keepdims=True), 3, axis=2)
    colour = 255 * mpl.colormaps[_HEAT](level)[..., :3]
    alpha = 0.25 + 0.3 * level[..., None]
    mixed = grey * (1 - alpha) + colour * alpha
    if outline is not None:
        inside = resized(outline.astype(np.float32), (width, height)) >= 0.5
        mixed[ndimage.binary_dilation(inside) & ~inside] = 255
    pixels: Pixels = np.clip(mixed, 0, 255).astype(np.uint8)
    return pixels


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as an address that carries them; `kind` is such as "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def jpeg(pixels: Pixels) -> bytes:
    """Return an image as JPEG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=_QUALITY, optimize=True)
    return content.getvalue()
