"""From what a user names to the images of a plan: files, and members of tar and zip archives."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from endoexit.archiving.planned import Planned
from endoexit.data.clutter import PassedOver, is_clutter
from endoexit.images.dicom.recognise import HEAD_BYTES, is_dicom
from endoexit.images.formats import IMAGE_SUFFIXES
from endoexit.images.frames import FrameChoice
from endoexit.images.members import (
    Member,
    is_archive,
    list_members,
    read_beginning,
    read_member,
)
from endoexit.runtime.inputs import Inputs

_SUFFIXES = tuple(IMAGE_SUFFIXES)
_NO_NAMES = ("", ".", "..")


def list_images(inputs: Inputs, frames: FrameChoice) -> Iterator[Planned]:
    """Yield the images that inputs stand for, in their order, as they are found.

    Args:
        inputs: Files, folders and globs, archives included.
        frames: Frames that are meant of a member that holds several.

    Raises:
        DataError: See `Inputs` and `list_members`.
    """
    for image in inputs:
        if is_archive(image.path):
            yield from _of_archive(image.path, frames, inputs.passed_over)
        else:
            yield Planned.of(str(image.path), image.frame)


def _of_archive(path: Path, frames: FrameChoice, passed_over: PassedOver) -> Iterator[Planned]:
    archive = Planned.of(str(path))  # asked once: a change while it is listed shows later
    for member in list_members(path):
        # No Path: making one for each of a million members takes longer than listing them.
        parts = [part for part in member.name.split("/") if part not in _NO_NAMES]
        if any(map(is_clutter, parts)):
            continue
        if not _is_image(path, member, parts[-1] if parts else ""):
            passed_over.add(f"{path}/{member.name}")
            continue
        for frame in frames.numbers(partial(read_member, path, member)):
            yield Planned(archive.path, archive.size, archive.mtime_ns, frame, member)


def _is_image(path: Path, member: Member, name: str) -> bool:
    """Return whether a member is taken for an image, by the rule of files: suffix, or DICOM."""
    if name.lower().endswith(_SUFFIXES):
        return True
    return is_dicom(read_beginning(path, member, HEAD_BYTES))
