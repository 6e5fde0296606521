"""A ZIP archive from elsewhere to a folder: nothing outside of it, no links, no bombs."""

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from endoexit.data.clutter import is_clutter
from endoexit.errors import DataError, WriteError
from endoexit.files import refuse_lfs_pointer, replacing_folder
from endoexit.progress import Track, silent

MIB = 2**20
_ENCRYPTED = 0x1
_RESERVED = re.compile(r'[<>:"|?*\x00-\x1f]')
_NAME, _PATH = 255, 1024  # bytes that file systems take


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_members: int,
    max_bytes: int,
    track: Track = silent,
) -> int:
    """Unpack a ZIP archive into a folder, whole or not at all; return the number of files.

    Everything that can be known is checked before the first byte is written. What systems leave
    in archives (`__MACOSX`, `.DS_Store`) is left out.

    Args:
        archive: The archive.
        folder: Folder that does not exist, or is empty.
        max_members: Number of entries that it may have at most.
        max_bytes: Number of bytes that it may unpack to at most.
        track: Shows progress.

    Raises:
        DataError: It is no ZIP archive, is damaged, or has an entry that is refused.
        WriteError: The folder cannot be written, or the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(archive, opened.infolist(), max_members, max_bytes)
            _check_space(archive, folder, sum(entry.file_size for entry in entries))
            with (
                replacing_folder(folder) as temporary,
                track(f"Unpacking {archive.name}", len(entries)) as bar,
            ):
                for entry in entries:
                    target = temporary / _path_of(entry)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    # zipfile gives at most as many bytes as the entry announces, which were
                    # added up before, and compares the CRC at its end.
                    with opened.open(entry) as source, target.open("xb") as stream:
                        shutil.copyfileobj(source, stream, MIB)
                    bar.advance()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _damaged(archive, error) from error
    return len(entries)


def unpacked_files(archive: Path, folder: Path) -> int | None:
    """Return how many files of an archive a folder has; None if it has not all, or others.

    Raises:
        DataError: The archive is no ZIP archive.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            wanted = {
                _path_of(entry): entry.file_size
                for entry in opened.infolist()
                if not entry.is_dir() and not any(map(is_clutter, _path_of(entry).parts))
            }
    except zipfile.BadZipFile as error:
        raise _damaged(archive, error) from error
    here = {
        PurePosixPath(path.relative_to(folder).as_posix()): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }
    return len(wanted) if wanted == here else None


def _damaged(archive: Path, error: Exception) -> DataError:
    refuse_lfs_pointer(archive, DataError)
    return DataError(
        f"{archive} is no ZIP archive, or is damaged ({error}): remove it and download it again."
    )


def _checked(
    archive: Path, entries: Sequence[zipfile.ZipInfo], max_members: int, max_bytes: int
) -> list[zipfile.ZipInfo]:
    """Return the entries that are files; refuse the archive for any that is not harmless."""
    if len(entries) > max_members:
        raise DataError(
            f"{archive} has {len(entries)} entries, {max_members} are the most that this data set "
            "can have: it is not unpacked. Download it again from the authors."
        )
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise DataError(
            f"{archive} would unpack to {total / MIB:.0f} MiB, {max_bytes / MIB:.0f} are the most "
            "that this data set can have: it is not unpacked. Download it again from the authors."
        )
    files: dict[str, str] = {}
    kept = []
    for entry in entries:
        fault = _fault(entry)
        if fault:
            raise DataError(
                f"{archive} has the entry {entry.filename!r}, which {fault}: nothing of it is "
                "unpacked. Do not use it; download it again from the authors."
            )
        if entry.is_dir() or any(is_clutter(part) for part in _path_of(entry).parts):
            continue
        same = _folded(_path_of(entry))
        if same in files:
            raise DataError(
                f"{archive} has the entries {files[same]!r} and {entry.filename!r}, which are one "
                "file on many systems: nothing of it is unpacked. Download it again."
            )
        files[same] = entry.filename
        kept.append(entry)
    for entry in kept:
        above = next((p for p in _path_of(entry).parents if _folded(p) in files), None)
        if above is not None:
            raise DataError(f"{archive} has {str(above)!r} as a file and as a folder: download it "
                            "again.")  # fmt: skip
    if not kept:
        raise DataError(f"{archive} has no file in it: download it again.")
    return kept


def _fault(entry: zipfile.ZipInfo) -> str | None:
    """Return why an entry is refused, as a predicate; None for one that is harmless."""
    # As in the archive: zipfile has cut the name at a NUL, and turned separators of its system.
    name = entry.orig_filename
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or "\\" in name or _RESERVED.search(name):
        return "is no plain relative path"
    if any(part in {"", ".", ".."} for part in parts):
        return "leads out of the folder"
    if len(name.encode(errors="replace")) > _PATH or any(
        len(part.encode(errors="replace")) > _NAME for part in parts
    ):
        return "has a name that is too long"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a link or a device"
    return None


def _path_of(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename)


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _check_space(archive: Path, folder: Path, needed: int) -> None:
    above = next(part for part in (folder, *folder.absolute().parents) if part.is_dir())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise WriteError(
            f"{archive} unpacks to {needed / MIB:.0f} MiB, but {above} "
            f"has {free / MIB:.0f} MiB free: free space, or choose another --out."
        )
