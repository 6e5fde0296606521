"""PNG, BMP, JPEG, WebP, GIF and PPM of every kind, held against arithmetic or another decoder."""

import io
import itertools
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.decode import read_image

HEIGHT, WIDTH = 19, 21
GENERATOR = np.random.default_rng(0)


def eight(values: np.ndarray, largest: int) -> np.ndarray:
    return np.floor(values.astype(float) * 255 / largest + 0.5).astype(int)


def values_of(bits: int, samples: int) -> np.ndarray:
    values = GENERATOR.integers(0, 2**bits, (HEIGHT, WIDTH, samples))
    values[0, :2] = (np.zeros(samples), np.full(samples, 2**bits - 1))
    return values


def rgb(expected: np.ndarray) -> np.ndarray:
    return np.repeat(expected, 3, axis=-1) if expected.shape[-1] == 1 else expected


def assert_rgb(data: bytes, expected: np.ndarray, tolerance: float = 0) -> None:
    image = read_image(data)
    assert image.shape == rgb(expected).shape
    assert np.abs(image.astype(int) - rgb(expected)).max() <= tolerance


# PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    values: np.ndarray, bits: int, colour: int, before: bytes = b"", after: bytes = b""
) -> bytes:
    """Write a PNG by hand: rows without filter, chunks before and after the pixels."""
    rows = values.reshape(len(values), -1)
    if bits == 16:
        body = rows.astype(">u2").view(np.uint8)
    else:
        spread = (rows[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(len(rows), -1)
        body = np.packbits(spread, axis=1)
    pixels = b"".join(b"\0" + row.tobytes() for row in body)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), before, chunk(b"IDAT", zlib.compress(pixels)), after,
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
    assert_rgb(png(values, bits, colour), expected, tolerance=2 if bits == 16 else 0.51)
    values[..., -1] = 0
    assert_rgb(png(values, bits, colour), eight(values[..., :-1], 2**bits - 1), tolerance=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [None, "some", "all"])
def test_png_with_a_palette(bits: int, transparent: str | None) -> None:
    values = values_of(bits, 1)
    palette = GENERATOR.integers(0, 256, (2**bits, 3))
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


# BMP


def bmp(
    body: bytes, bits: int, compression: int = 0, *, size: int = 40, height: int = HEIGHT,
    masks: tuple[int, ...] = (), palette: bytes = b"", width: int = WIDTH,
) -> bytes:  # fmt: skip
    """Write a BMP by hand; the masks are part of headers of more than 40 bytes."""
    if size == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack(
            "<IiiHHIIiiII", size, width, height, 1, bits, compression, len(body), 0, 0, 0, 0
        ) + struct.pack(f"<{len(masks)}I", *masks)
        header = header.ljust(size, b"\0")
    start = 14 + len(header) + len(palette)
    total = start + len(body)
    return b"BM" + struct.pack("<IHHI", total, 0, 0, start) + header + palette + body


def bottom_up(rows: np.ndarray) -> bytes:
    """Return rows, each padded to four bytes, the last one first."""
    raw = rows.reshape(len(rows), -1).view(np.uint8)
    return np.pad(raw, ((0, 0), (0, -raw.shape[1] % 4)))[::-1].tobytes()


def test_bmp_of_24_bits_bottom_up_top_down_and_of_os2() -> None:
    values = values_of(8, 3).astype(np.uint8)
    blue_first = np.ascontiguousarray(values[..., ::-1])
    assert_rgb(bmp(bottom_up(blue_first), 24), values)
    assert_rgb(bmp(bottom_up(blue_first[::-1]), 24, height=-HEIGHT), values)
    assert_rgb(bmp(bottom_up(blue_first), 24, size=12), values)
    assert_rgb(bmp(bottom_up(blue_first), 24, size=64), values)


@pytest.mark.parametrize("alpha", ["none", "zero", "full", "some"])
@pytest.mark.parametrize("size", [40, 56, 108, 124])
def test_bmp_of_32_bits(alpha: str, size: int) -> None:
    """Alpha counts where the header names it, unless it is 0 everywhere."""
    values = values_of(8, 3).astype(np.uint8)
    layer = {"none": 0, "zero": 0, "full": 255, "some": 100}[alpha]
    fourth = np.full((HEIGHT, WIDTH, 1), layer, np.uint8)
    body = bottom_up(np.concatenate([values[..., ::-1], fourth], axis=-1))
    if size == 40:
        assert_rgb(bmp(body, 32), values)
        return
    masks = (0xFF0000, 0xFF00, 0xFF, 0 if alpha == "none" else 0xFF000000)
    expected = values * (100 / 255) if alpha == "some" else values
    assert_rgb(bmp(body, 32, 3, size=size, masks=masks), expected, tolerance=0.51)


@pytest.mark.parametrize("masks", [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)])
def test_bmp_of_16_bits(masks: tuple[int, int, int]) -> None:
    values = GENERATOR.integers(0, 2**15, (HEIGHT, WIDTH)).astype("<u2")
    values[0, :2] = 0, 0x7FFF if masks[0] == 0x7C00 else 0xFFFF
    planes = [eight((values & mask) // (mask & -mask), mask // (mask & -mask)) for mask in masks]
    expected = np.stack(planes, axis=-1)
    data = bmp(bottom_up(values[..., None]), 16, 3, size=56, masks=(*masks, 0))
    assert_rgb(data, expected, tolerance=1)
    if masks[0] == 0x7C00:
        assert_rgb(bmp(bottom_up(values[..., None]), 16), expected, tolerance=1)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bmp_with_a_palette(bits: int) -> None:
    values = values_of(bits, 1)
    palette = GENERATOR.integers(0, 256, (2**bits, 4)).astype(np.uint8)
    spread = (values >> np.arange(bits - 1, -1, -1) & 1).reshape(HEIGHT, -1)
    data = bmp(bottom_up(np.packbits(spread, axis=1)), bits, palette=palette.tobytes())
    assert_rgb(data, palette[values[..., 0], 2::-1])


def test_bmp_of_runs() -> None:
    """Run lengths of 8 bits: a run, then pixels as they are, in each row."""
    width, palette = 12, GENERATOR.integers(0, 256, (256, 4)).astype(np.uint8)
    rows = [[number] * 6 + [9, 8, 7, 6, 5, 4] for number in range(10)]
    body = b"".join(bytes([6, row[0], 0, 6, *row[6:], 0, 0]) for row in rows[::-1]) + b"\0\1"
    data = bmp(body, 8, 1, palette=palette.tobytes(), width=width, height=10)
    assert np.array_equal(read_image(data), palette[np.array(rows), 2::-1])


@pytest.mark.parametrize(
    ("bits", "compression", "masks"),
    [(16, 3, (0xF00, 0xF0, 0xF, 0)), (32, 3, (0x3FF00000, 0xFFC00, 0x3FF, 0)), (24, 5, ()),
     (24, 4, ()), (64, 0, ())],
)  # fmt: skip
def test_other_bmps_are_refused_by_name(bits: int, compression: int, masks: tuple[int]) -> None:
    body = bytes(HEIGHT * 4 * -(-WIDTH * bits // 32))
    with pytest.raises(ImageError, match=r"is a BMP of a kind that is not supported .*convert it"):
        read_image(bmp(body, bits, compression, size=56, masks=masks))


# JPEG


def smooth() -> Image.Image:
    cells = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return cells.resize((96, 80), Image.Resampling.BICUBIC)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    smooth().convert(mode).save(stream, "JPEG", **({"quality": 95} | options))
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}, {"restart_marker_rows": 1},
     {"optimize": True}, {"quality": 30}, {"keep_rgb": True}],
)  # fmt: skip
@pytest.mark.parametrize("at_least", [None, 40, 20, 10])
def test_jpeg_gives_the_pixels_that_pillow_gives(
    mode: str, options: dict[str, object], at_least: int | None
) -> None:
    data = jpeg(mode, **options)
    image = Image.open(io.BytesIO(data))
    if at_least is not None:
        image.draft(None, (at_least, at_least))
    assert np.array_equal(read_image(data, at_least=at_least), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_gives_what_was_written(mode: str) -> None:
    written = np.asarray(smooth().convert(mode).convert("RGB")).astype(int)
    difference = read_image(jpeg(mode, subsampling=0)).astype(int) - written
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("at_least", [None, 20])
def test_jpeg_that_is_cut_but_has_an_end_marker_is_damaged(
    mode: str, progressive: bool, share: float, at_least: int | None
) -> None:
    data = jpeg(mode, progressive=progressive)
    cut = data[: int(len(data) * share)] + b"\xff\xd9"
    with pytest.raises(ImageError, match="is damaged or cut off") as caught:
        read_image(cut, at_least=at_least)
    assert caught.value.kind == "damaged"


def test_jpeg_that_lost_its_middle_is_damaged() -> None:
    data = jpeg(quality=98)
    for length in (500, 1000):
        with pytest.raises(ImageError, match="is damaged or cut off"):
            read_image(data[: len(data) // 2] + data[len(data) // 2 + length :])


def test_jpeg_with_bytes_to_spare_is_read() -> None:
    """libjpeg remarks on them, but no pixel is missing."""
    data = jpeg()
    expected = read_image(data)
    spare = data[:-2] + b"\xff\xff\0\0\0" + data[-2:]
    for padded in (data + b"abc" * 100, spare):
        assert np.array_equal(read_image(padded), expected)
    start = data.index(b"\xff\xdb")
    noisy = data[:start] + b"\0\0\0" + data[start:]
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(noisy)
    assert np.array_equal(read_image(noisy), expected)


def test_jpeg_of_12_bits_is_refused_by_name() -> None:
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match=r"is a JPEG of a kind that is not supported \(.*12-bit"):
        read_image(bytes(data))


@pytest.mark.slow
def test_no_real_image_is_called_damaged(real_data: Path) -> None:
    for file in sorted(real_data.rglob("*.jp*g"))[::25]:
        assert read_image(file, at_least=224).ndim == 3


# JPEG 2000


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 10, 12, 15, 16])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("codec", ["j2k", "jp2"])
def test_jpeg2000_of_every_depth(bits: int, samples: int, codec: str) -> None:
    values = values_of(bits, samples).astype(np.uint8 if bits <= 8 else np.uint16)
    data = imagecodecs.jpeg2k_encode(
        values[..., 0] if samples == 1 else values,
        level=0, bitspersample=bits, codecformat=codec, reversible=True,
    )  # fmt: skip
    expected = eight(values, 2**bits - 1)
    if samples in {2, 4}:
        expected = expected[..., :-1] * expected[..., -1:] / 255
    assert_rgb(data, expected, tolerance=0.51)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint32])
def test_other_jpeg2000_are_refused_by_name(kind: type) -> None:
    data = imagecodecs.jpeg2k_encode(values_of(6, 1)[..., 0].astype(kind), level=0)
    with pytest.raises(ImageError, match="is a JPEG 2000 of a kind that is not supported"):
        read_image(data)


def test_jpeg2000_is_bounded_by_the_size_that_is_decoded() -> None:
    """The header of the file says another size than that of the data."""
    values = values_of(12, 1)[..., 0].astype(np.uint16)
    data = bytearray(
        imagecodecs.jpeg2k_encode(values, level=0, bitspersample=12, codecformat="jp2")
    )
    struct.pack_into(">2I", data, data.index(b"\xff\x4f\xff\x51") + 8, 60000, 60000)
    with pytest.raises(ImageError, match="more than 100 megapixels, so it was not decoded"):
        read_image(bytes(data))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_jpeg2000_that_is_cut_is_damaged(bits: int, share: float, end: bytes) -> None:
    values = np.asarray(smooth()).astype(np.uint8 if bits == 8 else np.uint16) * 2 ** (bits - 8)
    data = imagecodecs.jpeg2k_encode(
        values, level=0, bitspersample=bits, codecformat="jp2", reversible=True
    )
    with pytest.raises(ImageError, match="is damaged or cut off"):
        read_image(data[: int(len(data) * share)] + end)


def test_jpeg2000_with_losses_agrees_with_openjpeg() -> None:
    stream = io.BytesIO()
    smooth().save(stream, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[10])
    expected = imagecodecs.jpeg2k_decode(stream.getvalue())
    assert np.array_equal(read_image(stream.getvalue()), expected)


# WebP and GIF


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("alpha", [None, 0, 100, 255])
def test_webp(lossless: bool, alpha: int | None) -> None:
    image = smooth()
    if alpha is not None:
        image.putalpha(alpha)
    stream = io.BytesIO()
    image.save(stream, "WEBP", lossless=lossless, exact=True)
    values = imagecodecs.webp_decode(stream.getvalue(), hasalpha=True).astype(float)
    seen = values[..., 3:] if alpha else 255
    assert_rgb(stream.getvalue(), values[..., :3] * seen / 255, tolerance=0.51)


def test_gif_agrees_with_another_decoder() -> None:
    stream = io.BytesIO()
    smooth().quantize(64).save(stream, "GIF")
    assert_rgb(stream.getvalue(), imagecodecs.gif_decode(stream.getvalue()))


# PPM


@pytest.mark.parametrize(
    ("largest", "kind"),
    list(itertools.product([1, 15, 100, 255, 256, 1023, 4095, 65535], ["P2", "P3", "P5", "P6"])),
)
def test_ppm_of_every_range(largest: int, kind: str) -> None:
    samples = 3 if kind in {"P3", "P6"} else 1
    values = GENERATOR.integers(0, largest + 1, (HEIGHT, WIDTH, samples))
    values[0, :2] = (np.zeros(samples), np.full(samples, largest))
    if kind in {"P5", "P6"}:
        body = values.astype(">u2" if largest > 255 else np.uint8).tobytes()
    else:
        body = " ".join(str(value) for value in values.ravel()).encode()
    head = f"{kind}\n# made by hand\n{WIDTH} {HEIGHT}\n{largest}\n".encode()
    assert_rgb(head + body, eight(values, largest), tolerance=1)


@pytest.mark.parametrize("kind", ["P1", "P4"])
def test_bilevel_ppm(kind: str) -> None:
    values = GENERATOR.integers(0, 2, (HEIGHT, WIDTH))
    packed = np.packbits(values, axis=1).tobytes()
    body = packed if kind == "P4" else " ".join(map(str, values.ravel())).encode()
    assert_rgb(f"{kind}\n{WIDTH} {HEIGHT}\n".encode() + body, 255 - 255 * values[..., None])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"P7\nWIDTH 9\nHEIGHT 9\nDEPTH 1\nMAXVAL 255\nENDHDR\n" + bytes(81), "PAM, a format"),
        (b"Pf\n9 9\n-1.0\n" + bytes(324), "PPM of a kind"),
        (b"PF\n9 9\n-1.0\n" + bytes(972), "PFM, a format"),
    ],
)
def test_relatives_of_ppm_are_refused_by_name(data: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=rf"is a {name} that is not supported.*convert it"):
        read_image(data)
