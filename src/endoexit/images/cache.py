"""Decoded images on disk, memory-mapped: epochs and later runs never decode a file again."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from endoexit.errors import DataError, ImageError
from endoexit.files import sha256_bytes
from endoexit.home import cache_directory
from endoexit.images.decode import decoder, read_bytes
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef, name_of
from endoexit.images.shelf import UNREADABLE, Advance, Mapped, Shelf, chunks, list_key
from endoexit.machine import usable_cores
from endoexit.naming import naming


@dataclass(frozen=True)
class CachedImages:
    """Preprocessed images in the order of their paths.

    Attributes:
        images: Pixels, uint8 (N, S, S, 3), read-only, memory-mapped. Broken rows are black.
        errors: Fault of each broken image, with its name, by its index.
    """

    images: Mapped
    errors: dict[int, str]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Return a mask (N,) that is true where there is an image."""
        mask = np.ones(len(self), dtype=bool)
        mask[list(self.errors)] = False
        return mask


def cache_images(
    images: Sequence[ImageRef],
    preprocessing: Preprocessing,
    directory: Path | None = None,
    advance: Advance = lambda _: None,
    *,
    skip_broken: bool = False,
    mention: Callable[[int], str] | None = None,
) -> CachedImages:
    """Return preprocessed images from the cache, decoding only contents that it does not have.

    Several processes may ask at once: one builds, the others wait and share. A
    process killed while it builds leaves nothing that is taken for complete.

    Args:
        images: The images.
        preprocessing: Preprocessing of each; mean and standard deviation play no part.
        directory: The cache folder, by default `cache_directory()`.
        advance: Function that is called with numbers of images done; they add up to len(images).
        skip_broken: Report broken images in `errors` in place of raising.
        mention: Name of an image for a sentence, by its index; by default of its place in `images`.

    Raises:
        DataError: There are no images, or files are broken; the message names all of them.
        EndoexitError: The cache cannot be written.
    """
    if not images:
        raise DataError("there are no images to cache: name at least one file.")
    shelf = Shelf(directory or cache_directory(), preprocessing)
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        advance(rows)

    with ThreadPoolExecutor(_threads()) as pool:
        digests, faults = _identify(images, pool)
        stored = shelf.open(list_key(digests))
        if stored is None:
            with shelf.locked():
                # Another process may have built the list while this one waited.
                stored = shelf.open(list_key(digests)) or shelf.build(images, digests, pool, count)
    advance(len(images) - done)
    faults = dict(sorted({**faults, **stored.broken}.items()))
    called = mention or (lambda row: naming().mention(str(images[row]), row))
    errors = {row: f"{called(row)} {fault}" for row, fault in faults.items()}
    if errors and not skip_broken:
        listed = "\n  ".join(errors.values())
        raise DataError(
            f"{len(errors)} of {len(images)} images cannot be read; restore or remove them, "
            f"`endoexit audit` finds all of a folder:\n  {listed}"
        )
    return CachedImages(stored.images, errors)


def contents_sha256(images: Sequence[ImageRef]) -> str:
    """Return a SHA-256 over the content of every image, in their order, and over the decoder.

    Figures that are kept carry it: images that were replaced under the same names, or that another
    version of a decoder reads differently, have another one. A file that cannot be read counts as
    one content.
    """
    with ThreadPoolExecutor(_threads()) as pool:
        digests, _ = _identify(images, pool)
    return sha256_bytes("\n".join([decoder(), *digests]).encode())


def _threads() -> int:
    """Return how many threads read and decode: two even on one core, so that reading continues."""
    return min(max(2, usable_cores()), 8)


def _identify(
    images: Sequence[ImageRef], pool: ThreadPoolExecutor
) -> tuple[list[str], dict[int, str]]:
    """Return what tells the content of every image, and by index what hinders reading."""

    def digest(image: ImageRef) -> str | ImageError:
        try:
            return name_of(sha256_bytes(read_bytes(image.path)), image.frame)
        except ImageError as error:
            return error

    answers = [answer for chunk in chunks(images) for answer in pool.map(digest, chunk)]
    faults = {row: each.fault for row, each in enumerate(answers) if isinstance(each, ImageError)}
    return [
        UNREADABLE if row in faults else str(answer) for row, answer in enumerate(answers)
    ], faults
