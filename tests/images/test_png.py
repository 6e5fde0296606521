"""PNG of every kind, held against arithmetic or another decoder."""

import io
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from pixel_values import HEIGHT, WIDTH, assert_rgb, eight, generator, values_of


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    rows = values.reshape(len(values), -1)
    if bits == 16:
        return rows.astype(">u2").view(np.uint8)
    spread = (rows[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(len(rows), -1)
    return np.packbits(spread.astype(np.uint8), axis=1)


def png(
    values: np.ndarray, bits: int, colour: int, before: bytes = b"", after: bytes = b"",
    *, interlaced: bool = False, compressed: Callable[[bytes], bytes] = zlib.compress,
) -> bytes:  # fmt: skip
    """Write a PNG by hand: rows without filter, chunks before and after the pixels."""
    body = b""
    for column, row, right, down in PASSES if interlaced else ((0, 0, 1, 1),):
        part = values[row::down, column::right]
        body += b"".join(b"\0" + line.tobytes() for line in packed(part, bits) if part.size)
    header = struct.pack(
        ">IIBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, int(interlaced)
    )
    parts = (chunk(b"IHDR", header), before, chunk(b"IDAT", compressed(body)), after,
             chunk(b"IEND", b""))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("colour", "samples", "bits"),
    [(0, 1, 1), (0, 1, 2), (0, 1, 4), (0, 1, 8), (0, 1, 16), (2, 3, 8), (2, 3, 16)],
)
@pytest.mark.parametrize("transparent", [None, "black", "white", "another"])
def test_png_without_alpha_at_every_depth(
    colour: int, samples: int, bits: int, transparent: str | None
) -> None:
    values = values_of(bits, samples)
    expected = eight(values, 2**bits - 1)
    before = b""
    if transparent is not None:
        value = {"black": values[0, 0], "white": values[0, 1], "another": values[5, 5]}[transparent]
        before = chunk(b"tRNS", struct.pack(f">{samples}H", *value.tolist()))
        expected[(values == value).all(axis=-1)] = 0
    tolerance = 1 if bits == 16 and samples == 3 else 0  # Pillow drops the lower byte
    assert_rgb(png(values, bits, colour, before), expected, tolerance)


@pytest.mark.parametrize(("colour", "samples"), [(4, 2), (6, 4)])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_with_alpha(colour: int, samples: int, bits: int) -> None:
    values = values_of(bits, samples)
    scaled = values / (2**bits - 1)
    expected = scaled[..., :-1] * scaled[..., -1:] * 255
    # Pillow drops the lower byte of colour and alpha: up to 1 each, and half for rounding.
    assert_rgb(png(values, bits, colour), expected, tolerance=2.51 if bits == 16 else 0.51)
    values[..., -1] = 0
    assert_rgb(png(values, bits, colour), eight(values[..., :-1], 2**bits - 1), tolerance=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [None, "some", "all"])
def test_png_with_a_palette(bits: int, transparent: str | None) -> None:
    values = values_of(bits, 1)
    palette = generator().integers(0, 256, (2**bits, 3))
    alpha = np.full(2**bits, 0 if transparent == "all" else 255)
    if transparent == "some":
        alpha[0] = 0
    before = chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparent is not None:
        before += chunk(b"tRNS", alpha.astype(np.uint8).tobytes())
    seen = np.full(2**bits, 255) if transparent == "all" else alpha
    expected = np.where(seen[:, None] == 255, palette, 0)
    assert_rgb(png(values, bits, 3, before), expected[values[..., 0]])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_png_agrees_with_libpng(mode: str) -> None:
    picture = Image.fromarray(values_of(8, 3).astype(np.uint8))
    image = picture.convert("L").convert(mode) if mode == "I;16" else picture.convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    values = imagecodecs.png_decode(stream.getvalue()).reshape(HEIGHT, WIDTH, -1)
    colours = values[..., :-1] if values.shape[-1] in {2, 4} else values
    assert_rgb(stream.getvalue(), eight(colours, 65535 if values.dtype == np.uint16 else 255))


BIG_TEXT = b"x\0\0\0\0\0" + b"a" * 3_000_000
ZIPPED = b"Raw profile\0\0" + zlib.compress(b"a" * 70_000_000)
PROFILE = b"big\0\0" + zlib.compress(bytes(5_000_000))


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iTXt", BIG_TEXT),
        chunk(b"zTXt", ZIPPED),
        chunk(b"tEXt", b"x\0" + b"a" * 2_000_000) * 40,
        chunk(b"iCCP", PROFILE),
        chunk(b"tEXt", b"x\0damaged")[:-1] + b"?",
    ],
    ids=["iTXt", "zTXt", "much tEXt", "iCCP", "damaged text"],
)
def test_png_with_much_or_damaged_metadata_is_read(extra: bytes, place: str) -> None:
    values = values_of(8, 3)
    assert_rgb(png(values, 8, 2, **{place: extra}), values)
    trns = chunk(b"tRNS", struct.pack(">H", 77))
    grey = values_of(8, 1)
    parts = {"before": trns, "after": b""}
    parts[place] += extra
    assert_rgb(png(grey, 8, 0, **parts), np.where(grey == 77, 0, grey))


def test_png_with_much_metadata_keeps_its_orientation_and_its_damage() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    values = values_of(8, 3)
    extra = chunk(b"eXIf", exif.tobytes()[6:]) + chunk(b"iTXt", BIG_TEXT)
    data = png(values, 8, 2, before=extra)
    assert_rgb(data, values[::-1, ::-1])
    for cut in (100, len(data) - 200):
        with pytest.raises(ImageError, match="damaged or cut off"):
            read_image(data[:cut])


@pytest.mark.parametrize(
    ("colour", "samples", "bits"), [(0, 1, 1), (0, 1, 4), (0, 1, 8), (0, 1, 16), (2, 3, 8)]
)
def test_interlaced_png_with_a_transparent_value_is_read_without_a_word(
    colour: int, samples: int, bits: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library that reads 16 bits writes a warning past Python for interlaced images."""
    values = values_of(bits, samples)
    expected = eight(values, 2**bits - 1)
    transparent = chunk(b"tRNS", struct.pack(f">{samples}H", *values[5, 5].tolist()))
    expected[(values == values[5, 5]).all(axis=-1)] = 0
    assert_rgb(png(values, bits, colour, transparent, interlaced=True), expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("colour", "samples", "bits", "before"),
    [(0, 1, 8, b""), (0, 1, 1, b""), (2, 3, 8, b""), (6, 4, 16, b""),
     (3, 1, 4, chunk(b"PLTE", bytes(range(48)))), (0, 1, 8, chunk(b"tRNS", b"\0\7"))],
)  # fmt: skip
def test_png_whose_whole_data_hold_fewer_rows_is_damaged(
    colour: int, samples: int, bits: int, before: bytes, interlaced: bool
) -> None:
    """Pillow leaves the rows that are missing black."""
    values = values_of(bits, samples)

    def short(body: bytes) -> bytes:
        return zlib.compress(body[: int(len(body) * 0.7)])

    data = png(values, bits, colour, before, interlaced=interlaced, compressed=short)
    with pytest.raises(ImageError, match="is damaged or cut off"):
        read_image(data)


@pytest.mark.parametrize("interlaced", [False, True])
def test_png_that_ends_in_black_rows_is_whole(interlaced: bool) -> None:
    values = values_of(8, 3)
    values[-3:] = 0
    assert_rgb(png(values, 8, 2, interlaced=interlaced), values)


def test_other_pngs_are_refused_by_name() -> None:
    values = values_of(8, 4)
    private = png(values, 8, 6)
    private = private[:8] + chunk(b"CgBI", b"P\0 \2") + private[8:]
    wide = png(values_of(16, 3), 16, 2, chunk(b"tRNS", bytes(6)), interlaced=True)
    for data, words in ((private, "order of iPhones"), (wide, "interlaced 16-bit RGB")):
        with pytest.raises(ImageError, match=rf"PNG of a kind that is not supported .*{words}"):
            read_image(data)
