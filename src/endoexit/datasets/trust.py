"""Trust on first use: the checksum of an archive is written down once and checked ever after."""

import datetime
import os
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import Field

from endoexit.datasets.catalog import Archive
from endoexit.documents import Document, Record
from endoexit.errors import DataError
from endoexit.files import make_folder, sha256_file
from endoexit.home import home_for_caches

FILE = "archives.json"


class Seen(Record):
    """An archive as it was when this user first had it.

    Attributes:
        sha256: SHA-256 of its content.
        size: Number of its bytes.
        source: Address or file that it came from.
        date: Day on which it came.
    """

    sha256: str
    size: int
    source: str
    date: str


class Trusted(Document):
    """All archives that were seen; `archives.json`.

    Attributes:
        format_version: Version of the document.
        archives: The archives, by release and name of the file.
    """

    fault = DataError
    remedy = "Restore it, or remove it to trust the next archives anew."
    newest = 1

    format_version: Literal[1] = 1
    archives: dict[str, Seen] = Field(default_factory=dict)


class Verified(Record):
    """What is known of an archive that passed.

    Attributes:
        sha256: SHA-256 of its content.
        size: Number of its bytes.
        first: Whether it was seen for the first time.
        notes: Sentences on what could not be checked, or differs from what others reported.
    """

    sha256: str
    size: int
    first: bool
    notes: tuple[str, ...]


def trusted_file() -> Path:
    """Return where checksums are written down: in the folder of the user's state."""
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state else home_for_caches() / ".local" / "state"
    return folder / "endoexit" / FILE


def verify(release: str, archive: Archive, file: Path, source: str) -> Verified:
    """Check an archive against what was written down; write it down if it is new.

    Args:
        release: Name of the release.
        archive: The archive.
        file: Its file here.
        source: Address or file that it came from.

    Raises:
        DataError: It is another file than the one that was seen first, or what was written down
            is damaged.
        WriteError: It cannot be written down.
    """
    book = trusted_file()
    size, sha256 = file.stat().st_size, sha256_file(file)
    make_folder(book.parent)
    with FileLock(book.with_name(f".{book.name}.lock")):
        known = Trusted.read(book) if book.is_file() else Trusted()
        key = f"{release}/{archive.name}"
        before = known.archives.get(key)
        if before is None:
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            seen = Seen(sha256=sha256, size=size, source=source, date=today)
            Trusted(archives={**known.archives, key: seen}).write(book)
        elif before.sha256 != sha256:
            raise DataError(
                f"{file} is another file than the {archive.name} that came on {before.date} from "
                f"{before.source}: SHA-256 {sha256} ({size} bytes), then {before.sha256} "
                f"({before.size} bytes). Either one is damaged or was tampered with, or the "
                f"authors changed it. Remove {file} to download it again; to trust the new one, "
                f"remove {key!r} from {book}."
            )
    return Verified(
        sha256=sha256,
        size=size,
        first=before is None,
        notes=tuple(_notes(archive, size, sha256)),
    )


def _notes(archive: Archive, size: int, sha256: str) -> list[str]:
    """Return how an archive compares with what others reported of it."""
    reported = archive.reported
    if reported is None:
        return []
    if size != reported.size:
        return [
            f"others reported {reported.size} bytes ({reported.source}), this one has {size}: "
            "compare it with the authors' page."
        ]
    if reported.sha256 is not None and sha256 != reported.sha256:
        return [
            f"others reported the SHA-256 {reported.sha256} ({reported.source}), this one has "
            f"{sha256}: compare it with the authors' page."
        ]
    return []
