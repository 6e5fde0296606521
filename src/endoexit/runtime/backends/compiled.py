"""Compiled stages on disk, so that the next process need not compile them."""

import contextlib
import hashlib
import os
from pathlib import Path

from endoexit.errors import EndoexitError
from endoexit.files import replacing
from endoexit.home import cache_directory, is_private, make_cache

MOST_BYTES = 2**30
SUFFIX = ".compiled"
_DIGEST = hashlib.sha256().digest_size


class CompiledStages:
    """Compiled stages in a folder of files, each with the SHA-256 of its content in front.

    They are a cache: what is damaged, of another machine or of another version is made anew, and
    what cannot be written is left out. Only a folder that no other user can write to is used, for
    a library reads these files without checking them.

    Args:
        folder: Folder of the files; None to keep nothing.
        most_bytes: Size of all files together; those that were not used for longest are removed.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def read(self, key: str) -> bytes | None:
        """Return what is kept under a key; None if it is not there, or not whole."""
        if self._folder is None:
            return None
        file = self._folder / f"{key}{SUFFIX}"
        try:
            if not is_private(self._folder):
                return None
            content = file.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):  # of a folder that can only be read
            os.utime(file)
        digest, compiled = content[:_DIGEST], content[_DIGEST:]
        return compiled if hashlib.sha256(compiled).digest() == digest else None

    def write(self, key: str, compiled: bytes) -> None:
        """Keep a compiled stage, if there is room for it."""
        if self._folder is None or len(compiled) + _DIGEST > self._most_bytes:
            return
        with contextlib.suppress(OSError, EndoexitError):
            make_cache(self._folder.parent)
            make_cache(self._folder)
            if not is_private(self._folder):
                return
            with replacing(self._folder / f"{key}{SUFFIX}") as file:
                file.write_bytes(hashlib.sha256(compiled).digest() + compiled)
            self._make_room(self._folder)

    def _make_room(self, folder: Path) -> None:
        facts = sorted(
            ((file.stat(), file) for file in folder.glob(f"*{SUFFIX}")),
            key=lambda pair: pair[0].st_mtime_ns,
        )
        total = sum(fact.st_size for fact, _ in facts)
        for fact, file in facts:
            if total <= self._most_bytes:
                return
            file.unlink(missing_ok=True)
            total -= fact.st_size


def kept_compiled() -> CompiledStages:
    """Return the compiled stages of this user; none where there is no folder for caches."""
    try:
        return CompiledStages(cache_directory() / "compiled")
    except OSError:
        return CompiledStages(None)
