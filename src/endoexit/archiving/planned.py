"""One image of a plan: where it is, what it was like then, its content now."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from endoexit.errors import ImageError
from endoexit.images.decode import read_bytes
from endoexit.images.members import Member, read_member
from endoexit.images.reference import MARK, name_of

Values = tuple[Any, ...]

COLUMNS = ("path", "size", "mtime_ns", "frame", "member", "offset", "packed", "length", "crc",
           "deflated", "fault")  # fmt: skip
_NO_MEMBER = (None,) * 7


@dataclass(frozen=True, slots=True)
class Planned:
    """One image of a plan.

    Attributes:
        path: File, as it was given; the archive of a member.
        size: Size of the file in bytes; None where there was none.
        mtime_ns: Time of the last change of the file, in nanoseconds; None where there was none.
        frame: Number of the frame, from 0.
        member: The member that holds the image, if the file is an archive.
    """

    path: str
    size: int | None
    mtime_ns: int | None
    frame: int = 0
    member: Member | None = None

    @classmethod
    def of(cls, path: str, frame: int = 0, member: Member | None = None) -> Self:
        """Return an image with what its file is like now."""
        return cls(path, *_facts(path), frame, member)

    def __str__(self) -> str:
        """Return its name: `a.png`, `a.tif#3`, `b.tar#folder/a.png`."""
        inside = "" if self.member is None else f"{MARK}{self.member.name}"
        return name_of(self.path + inside, self.frame)

    def read(self, base: Path) -> bytes:
        """Return the content of the file or the member.

        Size and time of the file are compared with the plan before and after. Its content is
        not, because hashing it would read every image twice.

        Args:
            base: Folder from which a relative path counts.

        Raises:
            ImageError: It cannot be read, or its file has changed. The error names no image.
        """
        file = base / self.path
        self._check(file)
        try:
            content = read_bytes(file) if self.member is None else read_member(file, self.member)
        except ImageError:
            self._check(file)
            raise
        self._check(file)
        return content

    def is_as_planned(self, base: Path) -> bool:
        """Return whether its file is there, with the size and the time of the plan.

        Args:
            base: Folder from which a relative path counts.
        """
        return self.size is not None and _facts(base / self.path) == (self.size, self.mtime_ns)

    def _check(self, file: Path) -> None:
        if _facts(file) != (self.size, self.mtime_ns):
            raise ImageError(
                "has changed since the job was planned (another size or time): plan a job for it "
                "anew, or bring it back as it was."
            )


def _facts(file: str | Path) -> tuple[int | None, int | None]:
    try:
        status = os.stat(file)  # noqa: PTH116  (a Path for each of a million files takes longer)
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def to_values(image: Planned) -> Values:
    """Return an image as a row of the plan, see `COLUMNS`; names are bytes: some are not UTF-8."""
    head = (os.fsencode(image.path), image.size, image.mtime_ns, image.frame)
    member = image.member
    if member is None:
        return (*head, *_NO_MEMBER)
    name = member.name.encode("utf-8", "surrogateescape")
    return (*head, name, member.offset, member.packed, member.size, member.crc, member.deflated,
            member.fault)  # fmt: skip


def from_values(values: Values) -> Planned:
    """Return the image of a row of the plan."""
    path, size, mtime_ns, frame, name, *rest = values
    member = None if name is None else Member(name.decode("utf-8", "surrogateescape"), *rest)
    return Planned(os.fsdecode(path), size, mtime_ns, frame, member)
