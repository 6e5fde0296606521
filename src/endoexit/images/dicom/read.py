"""One frame of a DICOM object as upright 8-bit RGB."""

from dataclasses import replace

from endoexit.errors import ImageError
from endoexit.images.dicom.baseline import is_baseline, read_baseline
from endoexit.images.dicom.classes import check_class
from endoexit.images.dicom.codecs import CODECS, Values, decode_native
from endoexit.images.dicom.colours import to_rgb
from endoexit.images.dicom.elements import DEFLATED, EXPLICIT, IMPLICIT, DataSet, read_data_set
from endoexit.images.dicom.frames import frame_bytes
from endoexit.images.dicom.header import ALLOWED, SOP_CLASS, Header, frames_of
from endoexit.images.dicom.worker import decode_apart
from endoexit.images.pixels import Pixels
from endoexit.images.refusals import damaged, no_frame, unsupported

_BASELINE = "1.2.840.10008.1.2.4.50"
_READ_AS = {IMPLICIT: EXPLICIT, DEFLATED: EXPLICIT}  # their pixels are alike


def read_dicom(data: bytes, frame: int, at_least: int | None) -> Pixels:
    """Decode one frame as upright RGB, uint8 (height, width, 3).

    Args:
        data: Content of the file.
        frame: Number of the frame, from 0.
        at_least: Side in pixels; a baseline JPEG may be decoded at a fraction of its size above it.

    Raises:
        ImageError: It is no image, damaged, out of bounds or of a kind that is not supported, or
            the packages of the extra `dicom` are missing.
    """
    check_installed()
    data_set = read_data_set(data, ALLOWED)
    check_class(_sop_class(data_set))
    if data_set.pixels is None:
        raise ImageError(
            "is a DICOM object without pixels: leave it out, or export it again with its image.",
            kind="not supported",
        )
    header = Header.of(data_set)
    if frame >= header.frames:
        raise no_frame(frame, header.frames)
    if header.native:
        return to_rgb(_native(data_set, header, frame), header, data_set)
    if header.transfer_syntax not in CODECS and header.transfer_syntax != _BASELINE:
        raise unsupported("DICOM object", "a transfer syntax for which there is no codec")
    content = frame_bytes(data_set, header, frame)
    if is_baseline(header, content):
        return read_baseline(header, content, at_least)
    if header.transfer_syntax == _BASELINE:
        raise damaged("a frame that should be baseline JPEG is of another kind")
    return to_rgb(decode_apart(replace(header, frames=1), content), header, data_set)


def count_frames(data: bytes) -> int:
    """Return the number of frames that a DICOM object claims to have.

    Raises:
        ImageError: Its data set is cut off or out of bounds.
    """
    return max(1, frames_of(read_data_set(data, ALLOWED)))


def size_of(data: bytes) -> tuple[int, int, int]:
    """Return width and height of a frame in pixels, and the number of frames, by the header.

    Raises:
        ImageError: The header is damaged, out of bounds or of a kind that is not supported.
    """
    header = Header.of(read_data_set(data, ALLOWED))
    return header.columns, header.rows, header.frames


def _sop_class(data_set: DataSet) -> str:
    return data_set.values.get(SOP_CLASS, b"").rstrip(b"\0 ").decode("ascii", "replace")


def _native(data_set: DataSet, header: Header, frame: int) -> Values:
    pixels = data_set.pixels
    if pixels is None or pixels.length is None:
        raise damaged("it has no pixels")
    length = header.frames * header.frame_bytes
    data = memoryview(data_set.data)[pixels.start : pixels.start + length + length % 2]
    form = replace(
        header,
        transfer_syntax=_READ_AS.get(header.transfer_syntax, header.transfer_syntax),
        vr="OW" if pixels.vr in (b"OW", b"") else "OB",
    )
    try:
        return decode_native(form, data, frame)
    except Exception as error:  # a form that contradicts itself
        raise damaged("its pixels do not fit their header") from error


def check_installed() -> None:
    """Refuse an object where the packages of the extra `dicom` are missing.

    Raises:
        ImageError: They are.
    """
    try:
        import pydicom  # noqa: F401, PLC0415
    except ImportError as error:
        raise ImageError(
            "is a DICOM object, which takes further packages: `pip install 'endoexit[dicom]'`.",
            kind="not supported",
        ) from error
