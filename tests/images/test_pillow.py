"""BMP, WebP, GIF and PPM of every kind, held against arithmetic or another decoder."""

import io
import itertools
import struct

import imagecodecs
import numpy as np
import pytest

from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from pixel_values import HEIGHT, WIDTH, assert_rgb, eight, generator, smooth, values_of

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
    values = generator().integers(0, 2**15, (HEIGHT, WIDTH)).astype("<u2")
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
    palette = generator().integers(0, 256, (2**bits, 4)).astype(np.uint8)
    spread = (values >> np.arange(bits - 1, -1, -1) & 1).reshape(HEIGHT, -1)
    data = bmp(bottom_up(np.packbits(spread, axis=1)), bits, palette=palette.tobytes())
    assert_rgb(data, palette[values[..., 0], 2::-1])


def test_bmp_of_runs() -> None:
    """Run lengths of 8 bits: a run, then pixels as they are, in each row."""
    width, palette = 12, generator().integers(0, 256, (256, 4)).astype(np.uint8)
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
    values = generator().integers(0, largest + 1, (HEIGHT, WIDTH, samples))
    values[0, :2] = (np.zeros(samples), np.full(samples, largest))
    if kind in {"P5", "P6"}:
        body = values.astype(">u2" if largest > 255 else np.uint8).tobytes()
    else:
        body = " ".join(str(value) for value in values.ravel()).encode()
    head = f"{kind}\n# made by hand\n{WIDTH} {HEIGHT}\n{largest}\n".encode()
    assert_rgb(head + body, eight(values, largest), tolerance=1)


@pytest.mark.parametrize("kind", ["P1", "P4"])
def test_bilevel_ppm(kind: str) -> None:
    values = generator().integers(0, 2, (HEIGHT, WIDTH))
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
