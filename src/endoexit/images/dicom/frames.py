"""The compressed bytes of one frame: fragments joined (DICOM PS3.5, annex A.4)."""

import struct
from itertools import accumulate

from endoexit.images.dicom.elements import DataSet
from endoexit.images.dicom.header import EXTENDED_LENGTHS, EXTENDED_OFFSETS, Header
from endoexit.images.refusals import damaged

_ITEM_HEADER = 8
_END_OF_IMAGE = b"\xff\xd9"
_TAIL = 10  # bytes in which the end marker is, with padding


def frame_bytes(data_set: DataSet, header: Header, frame: int) -> bytes:
    """Return one frame of encapsulated pixels.

    The extended offset table decides where there is one, else the basic one. Without a table, each
    fragment is a frame, or all are the only frame, or a frame ends with the end marker of JPEG.

    Args:
        data_set: The object.
        header: Its header.
        frame: Number of the frame, from 0.

    Raises:
        ImageError: The fragments do not hold the frame.
    """
    fragments = data_set.fragments[1:]
    if (extended := _extended(data_set, frame)) is not None:
        fragments = (extended,)
    elif offsets := _basic(data_set):
        fragments = _between(fragments, offsets, frame)
    elif len(fragments) == header.frames:
        fragments = fragments[frame : frame + 1]
    elif header.frames > 1:
        fragments = _by_end_marker(data_set.data, fragments, frame)
    content = b"".join(data_set.data[start : start + length] for start, length in fragments)
    if not content:
        raise damaged(f"frame {frame} has no data")
    return content


def _extended(data_set: DataSet, frame: int) -> tuple[int, int] | None:
    offsets = data_set.values.get(EXTENDED_OFFSETS, b"")
    lengths = data_set.values.get(EXTENDED_LENGTHS, b"")
    if not offsets or len(offsets) != len(lengths):
        return None
    try:
        (offset,) = struct.unpack_from("<Q", offsets, 8 * frame)
        (length,) = struct.unpack_from("<Q", lengths, 8 * frame)
    except struct.error as error:
        raise damaged(f"its offset table has no frame {frame}") from error
    first = data_set.fragments[1][0]
    return first + min(offset, len(data_set.data)), min(length, len(data_set.data))


def _basic(data_set: DataSet) -> tuple[int, ...]:
    start, length = data_set.fragments[0]
    return struct.unpack_from(f"<{length // 4}I", data_set.data, start)


def _between(
    fragments: tuple[tuple[int, int], ...], offsets: tuple[int, ...], frame: int
) -> tuple[tuple[int, int], ...]:
    """Return the fragments from the offset of a frame to that of the next."""
    if frame >= len(offsets):
        raise damaged(f"its offset table has no frame {frame}")
    lengths = (length + _ITEM_HEADER for _, length in fragments)
    begins = list(accumulate(lengths, initial=0))[:-1]
    end = offsets[frame + 1] if frame + 1 < len(offsets) else None
    return tuple(
        fragment
        for fragment, begin in zip(fragments, begins, strict=True)
        if begin >= offsets[frame] and (end is None or begin < end)
    )


def _by_end_marker(
    data: bytes, fragments: tuple[tuple[int, int], ...], frame: int
) -> tuple[tuple[int, int], ...]:
    ended, members = 0, []
    for start, length in fragments:
        if ended == frame:
            members.append((start, length))
        end = start + length
        ended += _END_OF_IMAGE in data[max(start, end - _TAIL) : end]
        if ended > frame:
            break
    return tuple(members)
