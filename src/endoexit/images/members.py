"""Images inside tar and zip archives: listed once, then each read alone. Nothing is unpacked."""

import contextlib
import io
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from endoexit.errors import DataError, ImageError
from endoexit.files import refuse_lfs_pointer
from endoexit.images.refusals import MAX_BYTES, damaged
from endoexit.naming import naming

MAX_ZIP_MEMBERS = 2_000_000  # the table of a zip is read as a whole: memory
MAX_RATIO = 100
RATIO_BYTES = 64 * 2**20  # smaller members may shrink as much as they like: black bitmaps do

_HEADER_BYTES = 2**20  # the longest header of a tar that is read: names and pax records
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_ARCHIVES = (".tar", ".zip", *_COMPRESSED)
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NUMBER = rb"[0-7]{6}[0-7 \0][ \0]"
_PLAIN = re.compile(
    rb"([^\0]+)\0*"  # name: what the rest leaves of 512 bytes, which are 100
    rb"(?:%(number)s){3}"  # mode, user, group
    rb"([0-7]{11})[ \0][0-7]{11}[ \0]"  # size, time
    rb"([0-7]{6})[ \0]{2}"  # checksum
    rb"0.{172}"  # a regular file; link, kind of tar, names of user and group
    rb"(?:%(number)s|\0{8}){2}"  # device
    rb"\0{167}" % {b"number": _NUMBER},  # no folder that is written apart from the name
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside an archive, and where its bytes are.

    Attributes:
        name: Name in the archive.
        offset: Position in the archive: of the content in a tar, of the local header in a zip.
        packed: Number of bytes in the archive.
        size: Number of bytes of the content.
        crc: CRC-32 of the content; None in a tar, which has none.
        deflated: Whether the content is compressed.
        fault: Reason why it is not read, as the fault of an ImageError; None where it is.
    """

    name: str
    offset: int
    packed: int
    size: int
    crc: int | None = None
    deflated: bool = False
    fault: str | None = None


def is_archive(path: Path) -> bool:
    """Return whether a file is a tar or a zip by its name, compressed tars included."""
    return path.name.lower().endswith(_ARCHIVES)


def list_members(path: Path) -> Iterator[Member]:
    """Yield the files in an archive, in its order; folders are left out.

    A member that is not read has its reason as `fault`: a name that leads out of the archive, a
    link, a bomb. The content of a tar is passed over, so memory does not grow with its members.

    Raises:
        DataError: It is no such archive, compressed as a whole, damaged, or out of bounds.
    """
    shown = _shown(path)
    if path.name.lower().endswith(_COMPRESSED):
        raise DataError(
            f"{shown} is compressed as a whole, so no image in it can be read alone: decompress it "
            "to a .tar first, or leave it out."
        )
    refuse_lfs_pointer(path, DataError)
    try:
        yield from _in_zip(path) if path.suffix.lower() == ".zip" else _in_tar(path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as e:
        raise DataError(
            f"{shown} is no archive, or is damaged ({e}): copy it again from its source, or leave "
            "it out."
        ) from e
    except OSError as error:
        raise DataError(
            f"{shown} cannot be read ({error.strerror or error}): check its path and permissions."
        ) from error


def _shown(path: Path) -> str:
    return naming().shown(path) or "an archive"


def read_member(path: Path, member: Member) -> bytes:
    """Return the content of one member.

    Raises:
        ImageError: It has a fault, is not where it was, or is damaged. The error names no image.
    """
    if member.fault is not None:
        raise ImageError(member.fault)
    try:
        with path.open("rb") as stream:
            if member.crc is None:
                stream.seek(member.offset)
                content = stream.read(member.size)
            else:
                content = _unpacked(stream, member, member.size)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise damaged(error) from error
    if len(content) != member.size:
        raise damaged(f"{len(content)} of {member.size} bytes are there")
    return content


def read_beginning(path: Path, member: Member, count: int) -> bytes:
    """Return the first bytes of a member, at most `count`; none of one that cannot be read."""
    with contextlib.suppress(OSError, zipfile.BadZipFile, zlib.error, EOFError):
        if member.fault is None:
            with path.open("rb") as stream:
                if member.crc is not None:
                    return _unpacked(stream, member, count)
                stream.seek(member.offset)
                return stream.read(min(count, member.size))
    return b""


def _unpacked(stream: IO[bytes], member: Member, count: int) -> bytes:
    """Return the first bytes of a member of a zip; the CRC is compared at its end."""
    stream.seek(member.offset)
    header = stream.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile("there is no member where the table of the zip has one")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    stream.seek(lengths, os.SEEK_CUR)
    info = zipfile.ZipInfo(member.name)
    info.compress_type = zipfile.ZIP_DEFLATED if member.deflated else zipfile.ZIP_STORED
    info.compress_size, info.file_size = member.packed, member.size
    info.CRC = member.crc or 0
    with zipfile.ZipExtFile(stream, "r", info) as opened:
        # One byte more, so that a member that is read as a whole comes to its end and its CRC.
        return opened.read(count + 1)[:count]


class _Headers(io.BufferedReader):
    """A tar file for `tarfile`, which would read as much as a header announces."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


class _Header(tarfile.TarInfo):
    """A header of a tar. `tarfile` parses it, unless it is one of the plain ones, which most are.

    A plain one has the checks that `tarfile` makes, in a third of the time.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        plain = _PLAIN.fullmatch(buf)
        if plain is None or int(plain[3], 8) != _checksum(buf):
            return super().frombuf(buf, encoding, errors)
        header = cls(plain[1].decode(encoding, errors))
        header.size = int(plain[2], 8)
        return header


def _checksum(header: bytes | bytearray) -> int:
    """Return the checksum of a header, in which its own eight bytes count as spaces."""
    return sum(header) - sum(header[148:156]) + 8 * ord(" ")


def _in_tar(path: Path) -> Iterator[Member]:
    with (
        _Headers(io.FileIO(path)) as stream,
        tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as tar,
    ):
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            if not info.isdir():
                yield Member(
                    info.name, info.offset_data, info.size, info.size, fault=_fault_in_tar(info)
                )
        # `tarfile` ends without a word at a header that is damaged.
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"the header at byte {tar.offset} is none")


def _fault_in_tar(info: tarfile.TarInfo) -> str | None:
    if not info.isreg() or info.issparse():
        return "is a link, a device or a sparse file in its archive: put the image itself in."
    return _fault(info.name, info.size, info.size)


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as opened:
        entries = opened.infolist()
    if len(entries) > MAX_ZIP_MEMBERS:
        raise DataError(
            f"{_shown(path)} has {len(entries)} members, {MAX_ZIP_MEMBERS} are the most in a zip: "
            "divide it, or make a tar of it."
        )
    total, archive = sum(entry.file_size for entry in entries), path.stat().st_size
    if total > max(MAX_RATIO * archive, RATIO_BYTES):
        raise DataError(
            f"{_shown(path)} announces {total // max(1, archive)} times its size, so it is a bomb "
            "rather than images: nothing of it is read. Remove it."
        )
    for entry in entries:
        if not entry.is_dir():
            yield Member(
                entry.filename, entry.header_offset, entry.compress_size, entry.file_size,
                entry.CRC, entry.compress_type == zipfile.ZIP_DEFLATED, _fault_in_zip(entry),
            )  # fmt: skip


def _fault_in_zip(entry: zipfile.ZipInfo) -> str | None:
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted in its archive: make the archive without a password."
    if entry.compress_type not in _METHODS:
        return "is compressed by a method that is not read: make the zip with deflate."
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG}:
        return "is a link or a device in its archive: put the image itself in."
    return _fault(entry.orig_filename, entry.compress_size, entry.file_size)


def _fault(name: str, packed: int, size: int) -> str | None:
    name = name.replace("\\", "/")  # no Path: making one takes longer than all other checks
    if name.startswith("/") or ".." in name.split("/"):
        return "has a name that leads out of its archive: make the archive with plain names."
    if size > MAX_BYTES:
        return f"is larger than {MAX_BYTES // 2**20} MiB: convert it to a smaller image."
    if size > RATIO_BYTES and size > MAX_RATIO * packed:
        return f"unpacks to more than {MAX_RATIO} times its size, as no image does: remove it."
    return None
