"""Which frames of a file that holds several are meant."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from PIL import Image

from endoexit.errors import UsageError
from endoexit.images.decode import read_bytes
from endoexit.images.formats import format_of
from endoexit.images.reference import ImageRef

_STILL = {"JPEG", "JPEG2000", "BMP", "PPM"}


@dataclass(frozen=True)
class FrameChoice:
    """A choice of frames: the first one, or every n-th.

    Attributes:
        every: Distance of the frames that are taken: 1 for all of them, 0 for the first alone.
    """

    every: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the choice of a text: `first`, `all` or `every:N`.

        Raises:
            UsageError: It is none of these.
        """
        words = {"first": 0, "all": 1}
        kind, _, number = text.partition(":")
        if text in words:
            return cls(words[text])
        if kind == "every" and number.isascii() and number.isdecimal() and int(number):
            return cls(int(number))
        raise UsageError(
            f"--frames {text!r} is unknown: write first, all, or every:N with N from 1, such "
            "as every:5."
        )

    def of(self, path: Path) -> Iterator[ImageRef]:
        """Yield the chosen frames of a file; of a file that cannot be read the first alone."""
        return (ImageRef(path, frame) for frame in self.numbers(lambda: read_bytes(path)))

    def numbers(self, read: Callable[[], bytes]) -> Iterator[int]:
        """Yield the numbers of the chosen frames of a file.

        Args:
            read: Function that returns the content of the file; called if more than the first
                frame may be meant.
        """
        yield 0
        if self.every:
            yield from range(self.every, count_frames(read), self.every)


def count_frames(read: Callable[[], bytes]) -> int:
    """Return how many frames a file says that it has; 1 for a still and for what cannot be read.

    Args:
        read: Function that returns its content.
    """
    try:
        data = read()
        form = format_of(data)
        if form is None or form in _STILL:
            return 1
        if form == "DICOM":
            from endoexit.images.dicom.read import count_frames as count  # noqa: PLC0415  an extra

            return count(data)
        if form == "TIFF":
            import tifffile  # noqa: PLC0415  takes a tenth of a second, and few data sets are TIFF

            with tifffile.TiffFile(io.BytesIO(data), is_ome=False, is_shaped=False) as tiff:
                return max(1, len(tiff.pages))
        with Image.open(io.BytesIO(data)) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # damaged files give errors of every kind; reading the first frame says which
        return 1
