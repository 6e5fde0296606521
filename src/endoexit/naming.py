"""What images are called in all that is printed and written: by path, or so that no path shows.

Paths may hold the names of patients. A command chooses the naming once, with `call_images`, and
every message and every row that names an image asks `naming()`. Manifests, and what a run keeps of
its images, have their paths in any case: later commands find the images by them.
"""

import contextlib
import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endoexit.errors import UsageError

Kind = Literal["path", "index", "hash"]
LEAST_KEY = 16
MOST_KEY = 1 << 16


@dataclass(frozen=True)
class Naming:
    """What images are called.

    Attributes:
        kind: `path`; `index`, the number of the image in the input, from 1; or `hash`, the
            HMAC-SHA-256 of the path as it is in the input, 32 hexadecimal digits. Without the key,
            paths cannot be tried until one fits.
        key: Secret key of the hash.
    """

    kind: Kind = "path"
    key: bytes = b""

    @property
    def shows_paths(self) -> bool:
        """Whether paths may be shown at all."""
        return self.kind == "path"

    def name(self, path: str, index: int) -> str:
        """Return the name of an image for a row.

        Args:
            path: Path of the image as it is in the input: a list, a folder, a manifest.
            index: Position of the image there, from 0.
        """
        if self.kind == "index":
            return str(index + 1)
        return path if self.kind == "path" else self._hash(path)

    def mention(self, path: str, index: int) -> str:
        """Return the name of an image for a sentence: its path, or `image 7`."""
        return path if self.shows_paths else f"image {self.name(path, index)}"

    def mention_group(self, group: str, index: int) -> str:
        """Return the name of a group for a sentence; groups may be called after patients.

        Args:
            group: Name of the group.
            index: Position of one of its images in the input, from 0.
        """
        if self.kind == "index":
            return f"the group of image {index + 1}"
        return repr(group) if self.kind == "path" else f"group {self._hash(group)}"

    def shown(self, text: object) -> str:
        """Return text that may hold a name; "" where names may not be shown."""
        return str(text) if self.shows_paths else ""

    def _hash(self, text: str) -> str:
        return hmac.new(self.key, os.fsencode(text), hashlib.sha256).hexdigest()[:32]


# One value for the process, not one for each thread: the threads that read images ask for it too.
_chosen = [Naming()]


def naming() -> Naming:
    """Return what images are called now: by their paths, where nothing else was chosen."""
    return _chosen[-1]


def call_images(chosen: Naming) -> None:
    """Call images so, in all threads, until the block of `naming_kept` ends."""
    _chosen[-1] = chosen


@contextlib.contextmanager
def naming_kept() -> Iterator[None]:
    """After the block, call images again as before it."""
    _chosen.append(_chosen[-1])
    try:
        yield
    finally:
        _chosen.pop()


def choose_naming(kind: Kind, key_file: Path | None = None) -> Naming:
    """Return the naming that a user asked for.

    Args:
        kind: See `Naming`.
        key_file: Key of the hash. Without it, a random key is used once and forgotten.

    Raises:
        UsageError: There is a key without a hash, or its file cannot be read, is too short or too
            long.
    """
    if kind == "hash":
        return Naming(kind, os.urandom(32) if key_file is None else _read_key(key_file))
    if key_file is not None:
        raise UsageError("--names-key is the key of --names hash: give both, or neither.")
    return Naming(kind)


def _read_key(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            key = stream.read(MOST_KEY + 1)
    except OSError as error:
        raise UsageError(
            f"the key {file} cannot be read ({error.strerror or error}): name a file of "
            f"{LEAST_KEY} random bytes or more."
        ) from error
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        size = f"more than {MOST_KEY}" if len(key) > MOST_KEY else str(len(key))
        raise UsageError(
            f"the key {file} has {size} bytes, not {LEAST_KEY} to {MOST_KEY}: make one with "
            "`head -c 32 /dev/urandom > FILE`, and keep it secret."
        )
    return key
