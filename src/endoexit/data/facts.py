"""What one look into each file tells: can it be read, content hash, size, frame."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from endoexit.data.duplicates import HASH_BITS, difference_hash
from endoexit.data.folders import ImageFile, Listing
from endoexit.data.frame import Frame, measure_frame
from endoexit.errors import ImageError
from endoexit.files import sha256_file
from endoexit.images.decode import read_image


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of one image that can be read.

    Attributes:
        file: its path, label and part.
        sha256: of its bytes.
        width: in pixels, upright.
        height: in pixels, upright.
        hash: its difference hash, 32 bytes.
        frame: its black border and position inset.
    """

    file: ImageFile
    sha256: str
    width: int
    height: int
    hash: bytes
    frame: Frame


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that cannot be used.

    Attributes:
        file: its path, label and part.
        kind: "empty", "not an image", "damaged" (truncated too), or "refused" (too
            large, too small, not readable).
        reason: what is wrong, and the remedy.
    """

    file: ImageFile
    kind: str
    reason: str


def look_into(
    listing: Listing, advance: Callable[[int], None] = lambda _: None
) -> tuple[list[ImageFacts], list[BrokenFile]]:
    """Decode every file once, on all cores, and return the facts and the broken files in order.

    Args:
        listing: the files.
        advance: called with 1 after each file.
    """
    good: list[ImageFacts] = []
    broken: list[BrokenFile] = []
    # Threads, not processes: decoding, hashing and resizing all release the interpreter's lock.
    pool = ThreadPoolExecutor(_cores())
    try:
        for result in pool.map(lambda file: _look(listing.root, file), listing.files):
            if isinstance(result, ImageFacts):
                good.append(result)
            else:
                broken.append(result)
            advance(1)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the files still queued
    return good, broken


def hashes(images: Sequence[ImageFacts]) -> npt.NDArray[np.uint8]:
    """Return the difference hashes, uint8 (N, 32)."""
    joined = b"".join(image.hash for image in images)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(images), HASH_BITS // 8)


def _look(root: Path, file: ImageFile) -> ImageFacts | BrokenFile:
    path = root / file.path
    try:
        image = read_image(path)
        height, width = image.shape[:2]
        digest = difference_hash(image).tobytes()
        return ImageFacts(file, sha256_file(path), width, height, digest, measure_frame(image))
    except ImageError as error:
        return BrokenFile(file, _kind(path, error), error.fault)


def _kind(path: Path, error: ImageError) -> str:
    cause = error.__cause__
    if path.is_file() and path.stat().st_size == 0:
        return "empty"
    if isinstance(cause, UnidentifiedImageError):
        return "not an image"
    # Without a cause it was refused by its size; an error number comes from the system.
    refused = cause is None or isinstance(cause, Image.DecompressionBombError)
    return "refused" if refused or getattr(cause, "errno", None) is not None else "damaged"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
