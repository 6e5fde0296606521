"""How rows name their images: by path, or so that no reader learns the path."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endoexit.errors import UsageError
from endoexit.runtime.predictor import PredictedRow

Kind = Literal["path", "index", "hash"]
LEAST_KEY = 16
MOST_KEY = 1 << 16


@dataclass(frozen=True)
class Naming:
    """How rows name their images. Paths may hold the names of patients.

    Attributes:
        shows_paths: Whether paths may be shown at all, in errors and notes too.
        name: Name of the image of a row.
    """

    shows_paths: bool
    name: Callable[[PredictedRow], str]

    def error(self, row: PredictedRow) -> str | None:
        """Return why the image of a row could not be read, with its name as rows have it."""
        if row.error is None:
            return None
        return str(row.error) if self.shows_paths else f"image {self.name(row)} {row.error.fault}"


BY_PATH = Naming(shows_paths=True, name=lambda row: str(row.image))
BY_INDEX = Naming(shows_paths=False, name=lambda row: str(row.index + 1))


def by_hash(key: bytes) -> Naming:
    """Return the naming by a hash of the path as it was given: HMAC-SHA-256, 32 digits.

    Without the key, names cannot be tried until one fits.
    """

    def name(row: PredictedRow) -> str:
        return hmac.new(key, os.fsencode(str(row.image)), hashlib.sha256).hexdigest()[:32]

    return Naming(shows_paths=False, name=name)


def choose_naming(kind: Kind, key_file: Path | None = None) -> Naming:
    """Return the naming that a user asked for.

    Args:
        kind: `path`; `index`, the number of the image in the input, from 1; or `hash`.
        key_file: Key of the hash. Without it, a random key is used once and forgotten.

    Raises:
        UsageError: There is a key without a hash, or its file cannot be read, is too short or too
            long.
    """
    if kind != "hash":
        if key_file is not None:
            raise UsageError("--names-key is the key of --names hash: give both, or neither.")
        return BY_PATH if kind == "path" else BY_INDEX
    return by_hash(secrets.token_bytes(32) if key_file is None else _read_key(key_file))


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
