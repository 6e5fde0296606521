"""The home folder, or a temporary one where a process has none; the folder of caches."""

import os
import stat
import tempfile
from pathlib import Path


def home_for_caches() -> Path:
    """Return the user's home folder, or a temporary one where there is none to write to.

    A container that runs as a user without a name has no home folder, or `/` in its place.
    """
    home = usable_home()
    return temporary_home() if home is None else home


def cache_directory() -> Path:
    """Return the default cache folder: `ENDOEXIT_CACHE`, else `~/.cache/endoexit`.

    Without a home folder it is in the temporary folder.
    """
    named = os.environ.get("ENDOEXIT_CACHE")
    return Path(named) if named else home_for_caches() / ".cache" / "endoexit"


def make_cache(folder: Path) -> None:
    """Make a cache folder that only this user can read: it holds pixels of patients.

    One that exists already stays as it is, because whoever made it chose who may read it.

    Raises:
        OSError: It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def usable_home() -> Path | None:
    """Return the home folder; None if there is none, or no caches can be kept in it."""
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor a name for the user
        return None
    caches = home / ".cache"
    return home if os.access(caches if caches.is_dir() else home, os.W_OK | os.X_OK) else None


def temporary_home() -> Path:
    """Return a temporary folder of this user that serves as home folder, made if necessary.

    No other user can write to it. The next process uses it again.

    Raises:
        OSError: There is no temporary folder that can be written to.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"endoexit-{user}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not is_private(folder):  # someone else made it: what is in it cannot be trusted
            return Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
    return folder


def is_private(folder: Path) -> bool:
    """Return whether a folder is this user's, and no other user can write to it."""
    facts = folder.lstat()
    mine = not hasattr(os, "getuid") or facts.st_uid == os.getuid()
    return stat.S_ISDIR(facts.st_mode) and mine and not facts.st_mode & 0o022
