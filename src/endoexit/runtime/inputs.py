"""From what a user types (files, folders, globs, standard input) to image paths, one by one."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from endoexit.data.folders import natural_key
from endoexit.errors import DataError
from endoexit.images.formats import IMAGE_SUFFIXES

STDIN = "-"


def image_paths(arguments: Sequence[str], stdin: Iterable[str]) -> Iterator[Path]:
    """Yield the images that are meant, in the order of the arguments.

    A folder stands for the images in it and below, known by their suffix, in natural order;
    hidden ones are passed over. A glob that the shell left alone (`'scans/**/*.jpg'`) stands
    for the images and folders that it matches. `-` reads one path a line. Anything else is a
    file, whether it exists or not: reading it will tell. Paths are found as they are asked
    for, so a million of them take no memory (those of one glob are sorted, so collected).

    Args:
        arguments: as typed.
        stdin: the lines for `-`.

    Raises:
        DataError: a folder cannot be listed or holds no images, or a glob matches nothing.
    """
    for argument in arguments:
        if argument == STDIN:
            yield from (Path(name) for line in stdin if (name := line.rstrip("\r\n")))
        else:
            yield from _resolve(argument)


def _resolve(argument: str) -> Iterator[Path]:
    path = Path(argument)
    if path.is_dir():
        yield from _filled(_below(path, set()), f"the folder {path} holds no images")
    elif glob.has_magic(argument) and not path.exists():
        yield from _filled(_matching(argument), f"the pattern {argument!r} matches no images")
    else:
        yield path


def _matching(pattern: str) -> Iterator[Path]:
    for name in sorted(glob.iglob(pattern, recursive=True), key=natural_key):  # noqa: PTH207
        path = Path(name)
        if not path.is_dir():
            if _is_image(path):
                yield path
        elif "**" not in pattern:  # which finds what is in the folder as well
            yield from _below(path, set())


def _below(folder: Path, visited: set[Path]) -> Iterator[Path]:
    """Yield the images in and below a folder; linked folders are followed once."""
    real = folder.resolve()
    if real in visited:
        return
    visited.add(real)
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
    except OSError as error:
        raise DataError(
            f"{folder} cannot be listed ({error.strerror or error}): change its permissions."
        ) from error
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _below(path, visited)
        elif _is_image(path):
            yield path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _filled(paths: Iterator[Path], otherwise: str) -> Iterator[Path]:
    empty = True
    for path in paths:
        empty = False
        yield path
    if empty:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{otherwise} ({suffixes}): check its path.")
