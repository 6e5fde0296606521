"""The secret key by which patients of DICOM objects become groups without names."""

import functools
import os
import secrets
import tempfile
from pathlib import Path

from endoexit.errors import DataError
from endoexit.home import home_for_caches

KEY_VARIABLE = "ENDOEXIT_DICOM_KEY"
LEAST_KEY = 16
_KEY_BYTES = 32


def key_file() -> Path:
    """Return the file of the key: `ENDOEXIT_DICOM_KEY`, else `~/.config/endoexit/dicom.key`."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else home_for_caches() / ".config" / "endoexit" / "dicom.key"


def patient_key() -> bytes:
    """Return the key; the first time a random one is made, which only this user can read.

    Raises:
        DataError: Its file cannot be read or made, or holds too few bytes.
    """
    return _key(key_file())


@functools.lru_cache(maxsize=1)
def _key(file: Path) -> bytes:
    try:
        if not file.exists() and KEY_VARIABLE not in os.environ:
            _make(file)
        key = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"the key for the patients of DICOM objects, {file}, cannot be read or made "
            f"({error.strerror or error}): name a file of {LEAST_KEY} random bytes or more in "
            f"{KEY_VARIABLE}."
        ) from error
    if len(key) < LEAST_KEY:
        raise DataError(
            f"the key for the patients of DICOM objects, {file}, has {len(key)} bytes, fewer than "
            f"{LEAST_KEY}: make one with `head -c {_KEY_BYTES} /dev/urandom > FILE`."
        )
    return key


def _make(file: Path) -> None:
    """Write a new key whole; of several processes, the first one's stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # readable by this user alone
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
        if not file.exists():
            temporary.rename(file)
    finally:
        temporary.unlink(missing_ok=True)
