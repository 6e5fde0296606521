"""Lists of decoded images on disk, in one folder for each geometry of the preprocessing.

Layout of the cache folder, which may be deleted at any time::

    <shelf>/<key>.npy    uint8 (N, S, S, 3), the images of one list in its order
    <shelf>/<key>.json   SHA-256 of each row's file, with `#` and its frame if that is not 0;
                         which rows are broken
    <shelf>/.lock        held by the process that builds

`shelf` is made from all that decides pixels (the geometry of the preprocessing, the
decoder), `key` from the contents of the list. Files are written whole,
then renamed, and never changed: reading needs no lock. The `.npy` comes last, so a
list without it does not exist.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from endoexit.errors import DataError, EndoexitError, ImageError
from endoexit.files import replacing, sha256_bytes, write_json
from endoexit.home import make_cache
from endoexit.images.decode import decoder, read_bytes
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef, name_of

UNREADABLE = "unreadable"  # in place of the SHA-256 of a file that cannot be read
_CHUNK = 64  # images under way at once: bounds the memory

Advance = Callable[[int], None]
Mapped = np.memmap[Any, np.dtype[np.uint8]]
_Item = TypeVar("_Item")


def list_key(digests: Sequence[str]) -> str:
    """Return the name of a list, from the contents of its images in their order."""
    return sha256_bytes("\n".join(digests).encode())[:32]


@dataclass(frozen=True)
class StoredList:
    """One complete list.

    Attributes:
        images: Pixels, uint8 (N, S, S, 3), read-only.
        contents: SHA-256 of the file of each row.
        broken: Fault of the file of a row that is black.
    """

    images: Mapped
    contents: list[str]
    broken: dict[int, str]


class Shelf:
    """The lists of one preprocessing geometry."""

    def __init__(self, directory: Path, preprocessing: Preprocessing) -> None:
        # Another version of the decoder may give other pixels, or read what this one cannot.
        self._directory = directory
        self.folder = directory / f"{preprocessing.geometry()[:16]}-{decoder()}"
        self.preprocessing = preprocessing

    def open(self, key: str) -> StoredList | None:
        """Return a complete list, None if it is missing or damaged."""
        try:
            facts = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            contents = [str(digest) for digest in facts["contents"]]
            broken = {int(row): str(reason) for row, reason in facts["broken"].items()}
            images = np.lib.format.open_memmap(self.folder / f"{key}.npy", mode="r")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if images.shape != self._shape(len(contents)) or images.dtype != np.uint8:
            return None
        return StoredList(images, contents, broken)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this shelf alone, and remove what a killed process left half-written.

        The system ends the hold of a process that dies.
        """
        try:
            make_cache(self._directory)
            self.folder.mkdir(exist_ok=True)
            lock = FileLock(self.folder / ".lock").acquire()
        except OSError as error:
            raise EndoexitError(
                f"cannot write the image cache {self.folder}: {error.strerror or error}. "
                "Name another folder in ENDOEXIT_CACHE."
            ) from error
        with lock:
            for left in self.folder.glob(".*.part"):
                left.unlink(missing_ok=True)
            yield

    def build(
        self,
        images: Sequence[ImageRef],
        digests: Sequence[str],
        pool: ThreadPoolExecutor,
        count: Advance,
    ) -> StoredList:
        """Write one list: contents of other lists are copied, the rest is decoded, once each."""
        rows: dict[str, list[int]] = {}
        for row, digest in enumerate(digests):
            if digest != UNREADABLE:
                rows.setdefault(digest, []).append(row)
        broken: dict[int, str] = {}
        key = list_key(digests)
        with replacing(self.folder / f"{key}.npy") as temporary:
            with temporary.open("wb") as stream:
                write = _RowWriter(stream, self._shape(len(images)))
                known = self._known()
                for digest in rows.keys() & known.keys():
                    pixels, row = known[digest]
                    write(rows[digest], pixels[row])
                    count(len(rows[digest]))
                missing = {
                    digest: images[at[0]] for digest, at in rows.items() if digest not in known
                }
                for digest, decoded in self._decode_all(missing, pool):
                    if isinstance(decoded, ImageError):
                        broken |= dict.fromkeys(rows[digest], decoded.fault)
                    else:
                        write(rows[digest], decoded)
                    count(len(rows[digest]))
            write_json(self.folder / f"{key}.json", {"contents": list(digests), "broken": broken})
        built = self.open(key)
        if built is None:
            raise EndoexitError(f"the image cache {self.folder} was changed meanwhile: run again.")
        return built

    def _decode_all(
        self, images: dict[str, ImageRef], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[str, npt.NDArray[np.uint8] | ImageError]]:
        """Yield the pixels of each file by its SHA-256, or what is wrong with its content."""

        def decode(digest: str) -> npt.NDArray[np.uint8] | ImageError:
            image = images[digest]
            data = read_bytes(image.path)
            if name_of(sha256_bytes(data), image.frame) != digest:
                raise DataError(f"{image.path} changed while it was being cached: run again.")
            try:
                return self.preprocessing.load(data, frame=image.frame)
            except ImageError as error:
                return error

        for chunk in chunks(list(images)):
            yield from zip(chunk, pool.map(decode, chunk), strict=True)

    def _known(self) -> dict[str, tuple[Mapped, int]]:
        """Return for each content a list that has its pixels, and their row in it.

        Rows of broken files are black, so the lists that hold them do not count.
        """
        known: dict[str, tuple[Mapped, int]] = {}
        for sidecar in sorted(self.folder.glob("*.json")):
            if (stored := self.open(sidecar.stem)) is not None:
                for row, digest in enumerate(stored.contents):
                    if row not in stored.broken:
                        known.setdefault(digest, (stored.images, row))
        return known

    def _shape(self, count: int) -> tuple[int, int, int, int]:
        return count, self.preprocessing.size, self.preprocessing.size, 3


class _RowWriter:
    """Writes rows of a `.npy` file in any order, by plain writes.

    Not through a memory map: on a full disk that ends the process by a signal,
    where a write raises an error that can be told.
    """

    def __init__(self, stream: BinaryIO, shape: tuple[int, int, int, int]) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        self._stream, self._start, self._bytes = stream, stream.tell(), math.prod(shape[1:])
        stream.truncate(self._start + shape[0] * self._bytes)

    def __call__(self, rows: Sequence[int], pixels: npt.NDArray[np.uint8]) -> None:
        """Write one image at each of `rows`."""
        for row in rows:
            self._stream.seek(self._start + row * self._bytes)
            self._stream.write(pixels.tobytes())


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield so few items at once that their images fit into memory."""
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
