"""Frames of baseline JPEG: read as JPEG files are, once header and codestream agree on colours."""

import struct
from dataclasses import dataclass

import numpy as np

from endoexit.images.dicom.header import Header
from endoexit.images.pillow import read_by_pillow
from endoexit.images.pixels import Pixels
from endoexit.images.refusals import damaged, unsupported

_SYNTAXES = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
_BY_HUFFMAN = {0xC0, 0xC1, 0xC2}  # start of frame: baseline, extended, progressive
_FRAME_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_APP0, _APP14, _SCAN = 0xE0, 0xEE, 0xDA
_RGB = {(82, 71, 66), (114, 103, 98)}  # names of components, in ASCII
# Says that the components are as they are meant: RGB.
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


@dataclass(frozen=True)
class _Codestream:
    """What the markers of a JPEG say.

    Attributes:
        process: Start of frame, which names the process of coding.
        bits: Bits of a value.
        height: Height in pixels.
        width: Width in pixels.
        components: Names of the components.
        jfif: Whether it is JFIF, whose colours are YCbCr.
        adobe: Whether Adobe's marker names the transform of the colours.
    """

    process: int
    bits: int
    height: int
    width: int
    components: tuple[int, ...]
    jfif: bool
    adobe: bool


def is_baseline(header: Header, frame: bytes) -> bool:
    """Return whether a frame can be read as a JPEG file of 8 bits."""
    if header.transfer_syntax not in _SYNTAXES:
        return False
    stream = _codestream(frame)
    return stream.bits == 8 and stream.process in _BY_HUFFMAN


def read_baseline(header: Header, frame: bytes, at_least: int | None) -> Pixels:
    """Decode a frame for which `is_baseline` is true, as `read_image` decodes a JPEG file.

    What the codestream says of its colours (Adobe's marker, JFIF, components named R, G, B) holds.
    Only where it says nothing does the header decide.

    Raises:
        ImageError: It is damaged, or header and codestream disagree on its size or colours.
    """
    stream = _codestream(frame)
    if (stream.height, stream.width) != (header.rows, header.columns):
        raise damaged("header and codestream disagree on the size of its pixels")
    if len(stream.components) != header.samples:
        raise damaged("header and codestream disagree on the number of colours")
    if header.photometric == "PALETTE COLOR":
        raise unsupported("DICOM object", "a palette of values that were compressed with loss")
    silent = header.samples == 3 and not stream.adobe and not stream.jfif
    if silent and (stream.components in _RGB or header.photometric == "RGB"):
        frame = frame[:2] + _ADOBE_RGB + frame[2:]
    pixels = read_by_pillow(frame, 0, at_least)
    return np.invert(pixels) if header.photometric == "MONOCHROME1" else pixels


def _codestream(frame: bytes) -> _Codestream:
    if frame[:2] != b"\xff\xd8":
        raise damaged("a frame that should be JPEG is not")
    at, jfif, adobe = 2, False, False
    try:
        while True:
            mark, marker, length = struct.unpack_from(">BBH", frame, at)
            if marker == 0xFF:  # a fill byte
                at += 1
                continue
            if mark != 0xFF or marker == _SCAN:
                break
            content = frame[at + 4 : at + 2 + length]
            jfif |= marker == _APP0 and content.startswith(b"JFIF")
            adobe |= marker == _APP14 and content.startswith(b"Adobe")
            if marker in _FRAME_STARTS:
                bits, height, width, count = struct.unpack_from(">BHHB", content)
                names = tuple(content[6 : 6 + 3 * count : 3])
                facts = marker, bits, height, width, names
            at += 2 + length
        return _Codestream(*facts, jfif, adobe)
    except (struct.error, UnboundLocalError) as error:
        raise damaged("the markers of a frame that should be JPEG are not whole") from error
