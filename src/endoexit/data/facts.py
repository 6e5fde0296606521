"""Facts on each file, found by decoding it once: whether it can be read, its hash, size, frame."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from endoexit.data.duplicates import HASH_BITS, difference_hash
from endoexit.data.folders import ImageFile, Listing
from endoexit.data.frame import Frame, measure_frame
from endoexit.data.patients import patient_key
from endoexit.errors import ImageError
from endoexit.files import sha256_bytes
from endoexit.images.decode import read_bytes, read_image
from endoexit.images.dicom.patient import patient_group
from endoexit.images.dicom.recognise import HEAD_BYTES, is_dicom
from endoexit.machine import usable_cores


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of one image that can be read.

    Attributes:
        file: Path, label and part of the file.
        sha256: Hash of the bytes of the file.
        width: Width in pixels, upright.
        height: Height in pixels, upright.
        hash: Difference hash, 32 bytes.
        frame: Black border and position inset.
        patient: Name for its patient without saying who it is, of DICOM; "" where it is not known.
    """

    file: ImageFile
    sha256: str
    width: int
    height: int
    hash: bytes
    frame: Frame
    patient: str = ""


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that cannot be used.

    Attributes:
        file: Path, label and part of the file.
        kind: Kind of the fault, as in `ImageError`.
        reason: Sentence that says what is wrong and what mends it.
    """

    file: ImageFile
    kind: str
    reason: str


def look_into(
    listing: Listing, advance: Callable[[int], None] = lambda _: None
) -> tuple[list[ImageFacts], list[BrokenFile]]:
    """Decode every file once, on all cores, and return the facts and the broken files in order.

    Args:
        listing: The files.
        advance: Function that is called with 1 after each file.
    """
    good: list[ImageFacts] = []
    broken: list[BrokenFile] = []
    # Threads, not processes: decoding, hashing and resizing all release the interpreter's lock.
    pool = ThreadPoolExecutor(usable_cores())
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
        data = read_bytes(path)
        image = read_image(data)
        height, width = image.shape[:2]
        return ImageFacts(
            file=file,
            sha256=sha256_bytes(data),
            width=width,
            height=height,
            hash=difference_hash(image).tobytes(),
            frame=measure_frame(image),
            patient=patient_group(data, patient_key()) if is_dicom(data[:HEAD_BYTES]) else "",
        )
    except ImageError as error:
        return BrokenFile(file, error.kind, error.fault)
