"""PNG where Pillow reads wrong pixels or says too little."""

import io
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from endoexit.images.pixels import Pixels, over_black, scale_table
from endoexit.images.refusals import damaged, unsupported

_START = 8
_GREY, _RGB = 0, 2
_SAMPLES = {_GREY: 1, _RGB: 3, 3: 1, 4: 2, 6: 4}  # by the type of colours
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}
# First column, first row, step of columns, step of rows of each pass of an interlaced image.
_WHOLE = ((0, 0, 1, 1),)
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
           (0, 1, 1, 2))  # fmt: skip


def without_metadata(data: bytes) -> bytes | None:
    """Return a PNG without its metadata, None where its chunks are not whole."""
    parts = [data[:_START]]
    for name, chunk in _chunks(data):
        if name in _PIXELS or not name[0] & 0x20:
            parts.append(chunk)
        if name == b"IEND":
            return b"".join(parts)
    return None


def refuse_other_orders(data: bytes) -> None:
    """Refuse the private variant of PNG for iPhones, which no other program reads.

    Raises:
        ImageError: It is one.
    """
    if data[_START + 4 : _START + 8] == b"CgBI":
        raise unsupported("PNG", "pixels in the private order of iPhones")


def refuse_missing_rows(data: bytes, image: Image.Image) -> None:
    """Refuse a loaded PNG whose compressed data are whole, but hold fewer rows than its header.

    Pillow leaves the rows that are missing black, without a word.

    Raises:
        ImageError: Rows are missing.
    """
    width, height, bits, colour, interlaced = _header(data)
    if not interlaced and np.asarray(image)[-1].any():
        return
    expected = sum(
        math.ceil((height - row) / down) * (1 + math.ceil(columns * bits * _SAMPLES[colour] / 8))
        for column, row, right, down in (_PASSES if interlaced else _WHOLE)
        if (columns := math.ceil((width - column) / right)) > 0 and height > row
    )
    stream = zlib.decompressobj()
    for name, chunk in _chunks(data):
        if name == b"IDAT" and expected > 0:
            expected -= len(stream.decompress(chunk[8:-4], expected))
    if expected > 0:
        raise damaged("its compressed data end before its last row")


def with_one_transparent_value(data: bytes) -> Pixels | None:
    """Return a grey or RGB PNG one value of which is transparent, None for another.

    Pillow compares the value with pixels that it has scaled to 8 bits already.

    Raises:
        ImageError: Rows are missing, or it is of a kind that is not supported.
    """
    _, _, bits, colour, interlaced = _header(data)
    value = next((chunk[8:-4] for name, chunk in _chunks(data) if name == b"tRNS"), None)
    bare = without_metadata(data)
    if colour not in {_GREY, _RGB} or value is None or bare is None:
        return None
    transparent = np.frombuffer(value, ">u2").astype(np.int64)[: _SAMPLES[colour]] & (2**bits - 1)
    if (bits, colour) == (16, _RGB):
        if interlaced:  # the library that keeps all bits says on standard error that it minds
            raise unsupported("PNG", "interlaced 16-bit RGB with one transparent colour")
        import imagecodecs  # noqa: PLC0415  few PNGs are so

        values = imagecodecs.png_decode(bare)[..., :-1]
    else:
        values = _values(data, bare)
    scale = scale_table(bits)
    if bits < 8:  # Pillow has scaled these
        transparent = scale[transparent].astype(np.int64)
    seen = (values.reshape(*values.shape[:2], -1) != transparent).any(axis=-1)
    colours = scale[values] if bits == 16 else values
    if colour == _GREY:
        colours = np.repeat(colours[..., None], 3, axis=-1)
    return over_black(colours, np.where(seen, 255, 0).astype(np.uint8))


def _values(data: bytes, bare: bytes) -> np.ndarray:
    """Return values without transparency: those of Pillow."""
    start = bare.index(b"tRNS") - 4
    (length,) = struct.unpack_from(">I", bare, start)
    opaque = bare[:start] + bare[start + 12 + length :]
    with Image.open(io.BytesIO(opaque), formats=("PNG",)) as image:
        image.load()
        refuse_missing_rows(data, image)
        return np.asarray(image.convert("L") if image.mode == "1" else image)


def _header(data: bytes) -> tuple[int, int, int, int, bool]:
    """Return width, height, bits, type of colours, and whether it is interlaced."""
    width, height, bits, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", data, _START + 8)
    return width, height, bits, colour, bool(interlaced)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and bytes of each chunk that is whole, up to the first that is not."""
    at = _START
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        yield name, data[at:end]
        at = end
