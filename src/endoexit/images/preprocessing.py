"""Preprocessing of images: any image becomes the square that a network takes."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from endoexit.documents import Record
from endoexit.errors import DataError, ImageError
from endoexit.images.decode import read_image
from endoexit.images.reference import ImageRef
from endoexit.images.refusals import MAX_PIXELS, MIN_SIDE

# Raise this whenever the same file would give other pixels: caches and bundles compare it.
ALGORITHM_VERSION = 1

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_Positive = Annotated[float, Field(gt=0)]


@functools.lru_cache(maxsize=16)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what a row of pixels (size · 3) is multiplied by, and what is then subtracted."""
    scale, shift = 1 / (255 * np.array(std)), np.array(mean) / np.array(std)
    return np.tile(scale, size).astype(np.float32), np.tile(shift, size).astype(np.float32)


class Preprocessing(Record):
    """How any image becomes the square that a network takes; travels with the weights.

    Resizing is antialiased. The image is resized to round(size / crop_ratio), then the central
    size × size square is kept.

    Attributes:
        size: Side of the network's input, in pixels.
        resize: Manner of resizing: `stretch` resizes both sides (the whole image stays in view);
            `shorter-side` keeps the aspect ratio, and crops the longer side.
        crop_ratio: Share of the resized (shorter) side that the crop keeps.
        mean: Means of the channels (R, G, B) on a scale of 0 to 1, to be subtracted.
        std: Standard deviations of the channels on the same scale, to be divided by.
        interpolation: Interpolation that images are resized with.
    """

    size: int = Field(default=224, ge=MIN_SIDE, le=4096)
    resize: Literal["stretch", "shorter-side"] = "stretch"
    crop_ratio: float = Field(default=1.0, ge=0.1, le=1.0)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[_Positive, _Positive, _Positive] = (0.5, 0.5, 0.5)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def load(self, source: ImageRef | Path | bytes, *, frame: int = 0) -> npt.NDArray[np.uint8]:
        """Read one image and return it as uint8 (size, size, 3).

        Args:
            source: The image, or a file of which `frame` is read, or the content of such a file.
            frame: Number of the frame, from 0.

        Raises:
            ImageError: It cannot be read.
        """
        content: Path | bytes
        if isinstance(source, ImageRef):
            content, frame = source.path, source.frame
        else:
            content = source
        try:
            return self._from_source(content, frame)
        except ImageError as error:
            if error.image is not None or isinstance(content, bytes):
                raise
            raise error.named(ImageRef(content, frame)) from error.__cause__

    def _from_source(self, content: Path | bytes, frame: int) -> npt.NDArray[np.uint8]:
        return self.apply(read_image(content, frame=frame, at_least=self.resized_side))

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Resize and crop an RGB image, uint8 (height, width, 3), to uint8 (size, size, 3).

        Raises:
            ImageError: The array has another shape or type, or is too elongated.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ImageError(
                "must be a uint8 array (height, width, 3), "
                f"got {image.dtype} {image.shape}: convert it to 8-bit RGB."
            )
        height, width = image.shape[:2]
        side = self.resized_side
        wide, high = side, side
        if self.resize == "shorter-side":
            shorter = min(height, width)
            wide, high = round(width * side / shorter), round(height * side / shorter)
            if wide * high > MAX_PIXELS:
                raise ImageError(
                    f"is too elongated ({width}×{height} pixels): with a shorter side of "
                    f"{side} it has more than {MAX_PIXELS // 10**6} megapixels; crop it or remove "
                    "it."
                )
        left, top = (wide - self.size) // 2, (high - self.size) // 2
        resized = Image.fromarray(image).resize((wide, high), _FILTERS[self.interpolation])
        return np.array(resized.crop((left, top, left + self.size, top + self.size)))

    def normalise(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Turn uint8 (B, S, S, 3) into what a network takes: float32 (B, 3, S, S).

        Each value v becomes (v / 255 − mean) / std. In memory the channels stay last, as networks
        and their engines keep them, and nothing is copied to another order.

        Raises:
            DataError: The batch has another shape or type.
        """
        self.check_batch(batch)
        scale, shift = _scale_and_shift(self.mean, self.std, self.size)
        rows = batch.reshape(-1, 3 * self.size).astype(np.float32)
        rows *= scale
        rows -= shift
        return rows.reshape(batch.shape).transpose(0, 3, 1, 2)

    def check_batch(self, batch: npt.NDArray[np.uint8]) -> None:
        """Raise DataError unless a batch is uint8 (B, S, S, 3)."""
        expected = (self.size, self.size, 3)
        if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != expected:
            raise DataError(
                f"a batch must be a uint8 array (B, {self.size}, {self.size}, 3), "
                f"got {batch.dtype} {batch.shape}: pass images through apply() first."
            )

    @property
    def view(self) -> "Preprocessing":
        """What shows a person the square that a network takes: itself; see `Sheet`."""
        return self

    def viewed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the part (s, s, 3) of an image (S, S, 3) that `view` makes: all of it."""
        return pixels

    @property
    def words(self) -> str:
        """The input in words, for cards."""
        cut = "cropped at the centre"
        whole = self.resize == "stretch" and self.crop_ratio == 1
        return f"{self.size}×{self.size} pixels, {'the whole image stretched' if whole else cut}"

    def canvas(self, size: int) -> "Preprocessing":
        """Return the preprocessing that training crops from: the whole image stretched to `size`.

        Mean, standard deviation and interpolation stay.
        """
        return Preprocessing(
            size=size, mean=self.mean, std=self.std, interpolation=self.interpolation
        )

    def geometry(self) -> str:
        """Return a SHA-256 over what decides the uint8 pixels: not mean and standard deviation."""
        deciding = {"size", "resize", "crop_ratio", "interpolation"}
        return self._digest(self.model_dump(include=deciding))

    def fingerprint(self) -> str:
        """Return a SHA-256 over all fields and the version of the algorithm."""
        return self._digest(self.model_dump())

    @property
    def resized_side(self) -> int:
        """Side in pixels that images are resized to before the crop."""
        return round(self.size / self.crop_ratio)

    @staticmethod
    def _digest(fields: dict[str, object]) -> str:
        if fields.get("interpolation") == "bilinear":  # the only one of the first release
            del fields["interpolation"]
        text = json.dumps({"algorithm": ALGORITHM_VERSION, **fields}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
