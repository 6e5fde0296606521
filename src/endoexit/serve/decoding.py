"""The process that decodes images: bytes in, the network's square or a code of a fault out.

It is separate from the service, so that a hostile image ends it and not the service. It uses its
standard streams, in frames of a JSON head and bytes: nothing is left over when either side is
killed. One byte says that it begins an image, so that an image which a dying process never began is
given to the next one. It ends when its input does.
"""

import io
import json
import resource
import signal
import struct
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.dicom.read import size_of
from endoexit.images.dicom.recognise import HEAD_BYTES, is_dicom
from endoexit.images.formats import FORMATS, format_of
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.sheet import read_preprocessing

BEGUN = b"\x01"  # the image is here, and is decoded now

_KINDS = {
    "empty": "image.empty",
    "not an image": "image.unknown",
    "damaged": "image.damaged",
    "not supported": "image.unsupported",
}
_BY_PILLOW = tuple(name for name in FORMATS if name != "TIFF")
_PREFIX = struct.Struct(">I")
_OF_SEVERAL_PICTURES = {"MPO"}  # a photograph and its previews


class RefusedError(Exception):
    """An image that is not decoded; the argument is the code of the fault."""


def frame(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return a frame: the length of the head, the head with the length of the body, the body."""
    text = json.dumps({**head, "length": len(body)}).encode()
    return _PREFIX.pack(len(text)) + text + body


def main() -> None:
    """Decode what comes on standard input until it ends."""
    # A terminal and systemd send their signals to all processes: the service decides for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while (job := _read(source)) is not None:
        head, content = job
        sink.write(BEGUN)
        sink.flush()
        _limit(head["decode_bytes"], head["decode_s"])
        try:
            pixels = decode(content, head)
        except RefusedError as refused:
            answer = frame({"code": str(refused)})
        except MemoryError:
            answer = frame({"code": "image.too_slow"})
        else:
            answer = frame({}, pixels.tobytes())
        signal.setitimer(signal.ITIMER_REAL, 0)
        sink.write(answer)
        sink.flush()


def decode(content: bytes, head: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """Return the network's square, uint8 (S, S, 3), of the only image of a file, or of one frame.

    Args:
        content: Bytes of the file.
        head: Fields of the preprocessing, `frame` of a DICOM object that holds several, and the
            limits `image_pixels`, `min_side`, `max_side`.

    Raises:
        RefusedError: It is not one image, not whole, or beyond a limit.
    """
    _check_header(content, head)
    preprocessing = Preprocessing.model_validate(read_preprocessing(head["preprocessing"]))
    try:
        return preprocessing.load(content, frame=head.get("frame") or 0)
    except ImageError as error:
        code = _KINDS.get(error.kind, "image.too_small")
        if "too large" in error.fault:
            code = "image.too_large"
        raise RefusedError(code) from error
    except RecursionError as error:
        raise RefusedError("image.damaged") from error


def _check_header(content: bytes, head: Mapping[str, Any]) -> None:
    if not content:
        raise RefusedError("image.empty")
    dicom = is_dicom(content[:HEAD_BYTES])
    if not dicom and format_of(content) is None:
        raise RefusedError("image.unknown")
    try:
        width, height, frames = size_of(content) if dicom else _size(content)
    except Exception:  # the decoder says what is wrong
        return
    if width * height > head["image_pixels"] or max(width, height) > head["max_side"]:
        raise RefusedError("image.too_large")
    if min(width, height) < head["min_side"]:
        raise RefusedError("image.too_small")
    _check_frames(frames, head.get("frame"), dicom=dicom)


def _check_frames(frames: int, frame: int | None, *, dicom: bool) -> None:
    if frame is not None and frame >= frames:
        raise RefusedError("image.no_frame")
    if frames > 1 and not dicom:
        raise RefusedError("image.animated")
    if frames > 1 and frame is None:
        raise RefusedError("image.frames")


def _size(content: bytes) -> tuple[int, int, int]:
    """Return width and height by the header, and the number of images in the file."""
    if format_of(content) == "TIFF":
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            page = tiff.pages.first
            return page.imagewidth, page.imagelength, len(tiff.pages)
    Image.MAX_IMAGE_PIXELS = None  # the limit is checked here
    with Image.open(io.BytesIO(content), formats=_BY_PILLOW) as image:
        alone = image.format in _OF_SEVERAL_PICTURES
        return image.width, image.height, 1 if alone else getattr(image, "n_frames", 1)


def _limit(memory: int, seconds: float) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
    # The service ends a process that takes longer; this one ends itself if the service is gone.
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds)


def _read(source: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    prefix = source.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    text = source.read(_PREFIX.unpack(prefix)[0])
    head: dict[str, Any] = json.loads(text)
    content = source.read(head["length"])
    return (head, content) if len(content) == head["length"] else None


if __name__ == "__main__":
    main()
