"""From what a user types (files, folders, globs, standard input) to images, one by one."""

import codecs
import glob
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from endoexit.data.clutter import PassedOver, is_clutter, is_image
from endoexit.data.folders import natural_key
from endoexit.errors import DataError
from endoexit.images.formats import IMAGE_SUFFIXES
from endoexit.images.frames import FrameChoice
from endoexit.images.members import is_archive
from endoexit.images.reference import ImageRef, split_name
from endoexit.naming import naming

STDIN = "-"
FIRST = FrameChoice()
_CHUNK = 1 << 16
_LONGEST = 1 << 20  # characters of one path; a longer one is no list of paths


class Inputs:
    """The images that arguments name, in the order of the arguments; iterate over it once.

    A folder stands for the images in it and below, in natural order. They are known by their
    suffix, or, DICOM, by their content. A glob that the shell did not expand (`'scans/**/*.jpg'`)
    stands for the images and folders that it matches. `-` reads a list of paths. Anything else is
    a file, whether it exists or not; the reader refuses a missing one. `clip.gif#12` is frame 12
    of a file, unless a file has just that name. Images are found as they are asked for, so a
    million of them take no memory (those of one glob are sorted, so collected).

    Args:
        arguments: Files, folders and globs as the user typed them.
        stdin: Standard input, for `-`.
        null: Whether its paths end with a NUL byte; None to recognise it (see `read_list`).
        frames: Frames that are meant of a file that holds several, where its name has no number.
        archives: Whether tar and zip archives are given too, each as one file.

    Attributes:
        passed_over: Files of folders that were passed over, as far as folders were read.

    Raises:
        DataError: While iterating: a folder cannot be listed or holds no images, a glob matches
            nothing, or a list is not text.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        stdin: io.BufferedIOBase | None = None,
        *,
        null: bool | None = None,
        frames: FrameChoice = FIRST,
        archives: bool = False,
    ) -> None:
        self._arguments, self._stdin = arguments, stdin
        self._null, self._frames = null, frames
        self._archives = archives
        self.passed_over = PassedOver()

    def __iter__(self) -> Iterator[ImageRef]:
        for argument in self._arguments:
            if argument != STDIN:
                yield from self._resolve(argument)
            elif self._stdin is None:
                raise DataError("standard input is closed: send paths to it, or name files.")
            else:
                for text in read_list(self._stdin, null=self._null):
                    yield from self._named_file(text)

    def _resolve(self, argument: str) -> Iterator[ImageRef]:
        path = Path(argument)
        if path.is_dir():
            what = f"the folder {naming().shown(path)}".rstrip()
            yield from self._filled(self._below(path, set()), f"{what} holds no images")
        elif glob.has_magic(argument) and not path.exists():
            what = f"the pattern {naming().shown(repr(argument))}".rstrip()
            yield from self._filled(self._matching(argument), f"{what} matches no images")
        else:
            yield from self._named_file(argument)

    def _matching(self, pattern: str) -> Iterator[ImageRef]:
        for name in sorted(glob.iglob(pattern, recursive=True), key=natural_key):  # noqa: PTH207
            path = Path(name)
            if any(is_clutter(part) for part in path.parts if part not in (".", "..")):
                continue
            if not path.is_dir():
                yield from self._file(path)
            elif "**" not in pattern:  # which finds what is in the folder as well
                yield from self._below(path, set())

    def _below(self, folder: Path, visited: set[Path]) -> Iterator[ImageRef]:
        """Yield the images in and below a folder; linked folders are followed once."""
        real = folder.resolve()
        if real in visited:
            return
        visited.add(real)
        try:
            with os.scandir(folder) as listed:  # tells folders without asking for each file
                entries = sorted(listed, key=lambda entry: natural_key(entry.name))
        except OSError as error:
            raise DataError(
                f"{naming().shown(folder) or 'a folder'} cannot be listed "
                f"({error.strerror or error}): change its permissions."
            ) from error
        for entry in entries:
            if is_clutter(entry.name):
                continue
            path = folder / entry.name
            if path.is_dir() if entry.is_symlink() else entry.is_dir():
                yield from self._below(path, visited)
            else:
                yield from self._file(path)

    def _named_file(self, text: str) -> Iterator[ImageRef]:
        path = Path(text)
        before, frame = split_name(text)
        if self._is_archive(path):
            yield ImageRef(path)
        elif before == text or os.path.lexists(text):
            yield from self._frames.of(path)
        else:
            yield ImageRef(Path(before), frame)

    def _file(self, path: Path) -> Iterator[ImageRef]:
        if self._is_archive(path):
            yield ImageRef(path)
        elif is_image(path):
            yield from self._frames.of(path)
        else:
            self.passed_over.add(str(path))

    def _is_archive(self, path: Path) -> bool:
        return self._archives and is_archive(path)

    def _filled(self, images: Iterator[ImageRef], otherwise: str) -> Iterator[ImageRef]:
        empty = True
        for image in images:
            empty = False
            yield image
        if empty:
            suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
            raise DataError(f"{otherwise} ({suffixes}): check its path.")


def read_list(stream: io.BufferedIOBase, *, null: bool | None = None) -> Iterator[str]:
    r"""Yield the paths of a list as soon as they are there; empty ones are left out.

    Paths end with a line end (`\n` or `\r\n`) or, as those of `find -print0`, with a NUL byte;
    a path may then hold line ends. The list may begin with a byte order mark of UTF-8 or UTF-16.
    Bytes that are not UTF-8 are kept as `os.fsdecode` keeps them.

    Args:
        stream: The list.
        null: True for NUL bytes, False for line ends; None to take NUL bytes where there are any
            in what is read first.

    Raises:
        DataError: A path is longer than any path, so that this is no list.
    """
    decoder: codecs.IncrementalDecoder | None = None
    text, head = "", b""
    while chunk := stream.read1(_CHUNK):
        if decoder is None:
            head += chunk
            if len(head) < len(codecs.BOM_UTF8) and head in codecs.BOM_UTF8[: len(head)]:
                continue  # it may still become a byte order mark
            decoder, chunk = _decoder(head)
        text += decoder.decode(chunk)
        if null is None and ("\0" in text or "\n" in text):
            null = "\0" in text
        *paths, text = text.replace("\0", "\n").split("\n") if not null else text.split("\0")
        yield from filter(None, (path if null else path.rstrip("\r") for path in paths))
        if len(text) > _LONGEST:
            raise DataError(
                "standard input is no list of paths: write one path a line, or end each with a "
                "NUL byte."
            )
    text += decoder.decode(b"", final=True) if decoder else os.fsdecode(head)
    if rest := text if null else text.rstrip("\r"):
        yield rest


def _decoder(head: bytes) -> tuple[codecs.IncrementalDecoder, bytes]:
    """Return what decodes a list, by its first bytes, and these without a byte order mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return codecs.getincrementaldecoder("utf-16")("replace"), head
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return codecs.getincrementaldecoder(encoding)(errors), head.removeprefix(codecs.BOM_UTF8)
