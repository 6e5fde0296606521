"""From the name of a release to its images in a folder: downloaded, verified, unpacked, known."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endoexit.datasets.catalog import CHECKSUM, Release, known_facts
from endoexit.datasets.download import alone, download
from endoexit.datasets.layouts import Recognised, recognise
from endoexit.datasets.tables import label_notes
from endoexit.datasets.trust import Verified, trusted_file, verify
from endoexit.datasets.unpack import unpack, unpacked_files
from endoexit.errors import DataError, UsageError
from endoexit.files import make_folder, read_json, write_json
from endoexit.progress import Track, silent

SPLITS = "official_splits"


@dataclass(frozen=True)
class Obtained:
    """A release that is on this disk.

    Attributes:
        release: Release.
        folder: Folder of its images.
        record: File with its origin, checksum, terms and facts.
        document: The same as JSON values.
        notes: Sentences on what could not be checked, or differs from what is known.
        already: Whether it was here before.
    """

    release: Release
    folder: Path
    record: Path
    document: dict[str, Any]
    notes: tuple[str, ...]
    already: bool


def refuse_without_terms(release: Release, *, accepted: bool, command: str) -> None:
    """Refuse to get a release whose terms were not accepted.

    Args:
        release: Release.
        accepted: Whether the user accepted them.
        command: Command line that would get it.

    Raises:
        UsageError: They were not.
    """
    if accepted:
        return
    raise UsageError(
        f"{release.title} comes with terms. {release.terms} Cite: {release.citation}. If you "
        f"accept the terms, run: {command} --accept-terms"
    )


def obtain(
    release: Release,
    out: Path,
    *,
    file: Path | None = None,
    urls: Sequence[str] = (),
    track: Track = silent,
) -> Obtained:
    """Bring the images of a release into a folder, from the authors or from an archive.

    `out` gets the archive, the folder `<release>` with what is in it, and `<release>.json` with
    origin, checksum, terms and facts. What is done is not done again.

    Args:
        release: Release.
        out: Folder; made if necessary.
        file: Archive that the user has; None to download it.
        urls: Addresses to download from in place of the authors'.
        track: Shows progress.

    Raises:
        DataError: The download fails, the archive is refused, or holds something else.
        WriteError: The folder cannot be written, or the disk is full.
        UsageError: An address is no address.
    """
    make_folder(out)
    with alone(out / release.name):
        return _obtain(release, out, file, urls, track)


def _obtain(
    release: Release, out: Path, file: Path | None, urls: Sequence[str], track: Track
) -> Obtained:
    folder, record = out / release.name, out / f"{release.name}.json"
    if record.is_file() and folder.is_dir():
        document = read_json(record, DataError)
        return Obtained(release, folder, record, document, (), already=True)
    archive, source = _archive(release, out, file, urls, track)
    seen = verify(release.name, release.archive, archive, source)
    members = _unpack(release, archive, folder, track)
    recognised = _recognised(release, folder, archive)
    notes = [*seen.notes, *recognised.notes, *label_notes(recognised)]
    if file is None:
        notes += _get_folds(release, out, track)
    document = _document(release, recognised, seen, source, members)
    write_json(record, document)
    return Obtained(release, folder, record, document, tuple(notes), already=False)


def _archive(
    release: Release, out: Path, file: Path | None, urls: Sequence[str], track: Track
) -> tuple[Path, str]:
    """Return the archive on this disk, and where it comes from."""
    if file is not None:
        if not file.is_file():
            what = "is a folder: it needs no unpacking" if file.is_dir() else "does not exist"
            raise DataError(f"--from {file} {what}; name the archive {release.archive.name}.")
        return file, str(file)
    target = out / release.archive.name
    addresses = tuple(urls) or release.archive.urls
    if target.is_file():
        return target, addresses[0]
    url = download(addresses, target, max_bytes=release.archive.max_bytes, track=track)
    return target, url


def _unpack(release: Release, archive: Path, folder: Path, track: Track) -> int:
    """Unpack the archive where that is not done; return the number of its files."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    if folder.is_dir() and any(folder.iterdir()):
        files = unpacked_files(archive, folder)
        if files is None:
            raise DataError(
                f"{folder} exists and is not what is in {archive}: remove it, or choose another "
                "--out."
            )
        return files
    return unpack(
        archive,
        folder,
        max_members=release.max_members,
        max_bytes=release.max_unpacked,
        track=track,
    )


def _recognised(release: Release, folder: Path, archive: Path) -> Recognised:
    """Recognise what was unpacked; take it away again if it is something else."""
    try:
        recognised = recognise(folder)
    except DataError:
        shutil.rmtree(folder)
        raise
    if recognised.release.classes != release.classes:
        shutil.rmtree(folder)
        raise DataError(
            f"{archive} holds {recognised.release.title}, not {release.title}: name the data set "
            "that it is of."
        )
    return recognised


def _get_folds(release: Release, out: Path, track: Track) -> list[str]:
    """Download the authors' folds; the images are worth having without them."""
    notes = []
    for table in release.folds:
        target = out / SPLITS / table.name
        try:
            url = download(table.urls, target, max_bytes=table.max_bytes, track=track)
            verify(release.name, table, target, url)
        except DataError as error:
            notes.append(f"without {table.name}, the authors' folds: {error}")
    return notes


def _document(
    release: Release, recognised: Recognised, seen: Verified, source: str, members: int
) -> dict[str, Any]:
    return {
        "data_set": release.name,
        "title": release.title,
        "page": release.page,
        "source": source,
        "archive": {
            "name": release.archive.name,
            "bytes": seen.size,
            "sha256": seen.sha256,
            "checksum_of_the_authors": CHECKSUM,
            "first_seen_now": seen.first,
            "checksums_are_kept_in": str(trusted_file()),
            "files": members,
        },
        "licence": release.licence,
        "terms": release.terms,
        "citation": release.citation,
        "images_by_class": dict(Counter(file.label for file in recognised.listing.files)),
        "facts": known_facts(release),
    }
