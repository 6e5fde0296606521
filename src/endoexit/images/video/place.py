"""Where the bytes of a video are in a file: all of it, or the fragments of a DICOM object."""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from endoexit.errors import ImageError
from endoexit.images.dicom.recognise import is_dicom_file
from endoexit.images.refusals import damaged
from endoexit.images.video.spans import Span

_VIDEO_SYNTAX = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?")  # DICOM PS3.6
_SOP_CLASS, _CINE_RATE, _FRAME_TIME = 0x00080016, 0x00180040, 0x00181063


@dataclass(frozen=True)
class Place:
    """Where a video is.

    Attributes:
        path: File.
        spans: Position and length of its parts in the file.
        rate: Frames a second that a DICOM object says; None where it does not, or for a file.
    """

    path: Path
    spans: tuple[Span, ...]
    rate: float | None = None


def find_video(path: Path) -> Place:
    """Find the bytes of a video.

    Raises:
        ImageError: The file cannot be read, is empty, or is a DICOM object without a video.
    """
    try:
        if not path.is_file():
            fault = "is not a file" if path.exists() else "does not exist"
            raise ImageError(f"{fault}: check the path.")
        size = path.stat().st_size
        if size == 0:
            raise ImageError(
                "is empty (0 bytes): restore it from its source or remove it.", kind="empty"
            )
        if not is_dicom_file(path):
            path.open("rb").close()
            return Place(path, ((0, size),))
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return _in_dicom(path, cast("bytes", m))  # read where it is, as bytes are
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}.") from error


def _in_dicom(path: Path, data: bytes) -> Place:
    from endoexit.images.dicom.classes import check_class  # noqa: PLC0415  an extra
    from endoexit.images.dicom.elements import read_data_set  # noqa: PLC0415
    from endoexit.images.dicom.read import check_installed  # noqa: PLC0415

    check_installed()
    data_set = read_data_set(data, frozenset({_SOP_CLASS, _CINE_RATE, _FRAME_TIME}))
    values = data_set.values
    check_class(values.get(_SOP_CLASS, b"").rstrip(b"\0 ").decode("ascii", "replace"))
    if not _VIDEO_SYNTAX.fullmatch(data_set.transfer_syntax):
        raise _stills()
    spans = data_set.fragments[1:]
    if not spans:
        raise damaged("it has no data")
    frame_time, cine_rate = _number(values.get(_FRAME_TIME)), _number(values.get(_CINE_RATE))
    return Place(path, spans, 1000 / frame_time if frame_time else cine_rate)


def _stills() -> ImageError:
    """Return the error of an object whose frames are compressed one by one."""
    return ImageError(
        "is a DICOM object of single images, not of a video stream: answer them with "
        "`endoexit predict --frames all`.",
        kind="not supported",
    )


def _number(value: bytes | None) -> float | None:
    """Return a decimal string as a number above 0; None where it is none."""
    text = (value or b"").rstrip(b"\0 ").strip().decode("ascii", "replace")
    if not re.fullmatch(r"\+?[0-9]{1,6}(\.[0-9]{1,9})?", text):
        return None
    return float(text) or None
