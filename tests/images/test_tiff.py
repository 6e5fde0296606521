"""Every kind of TIFF is read right, by arithmetic on what was written, or refused by name."""

import io
import itertools
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from image_bytes import read_in_a_process
from pixel_values import generator

HEIGHT, WIDTH = 20, 37  # odd, so that packed rows end inside a byte
TILE = (16, 16)


def values_of(bits: int, samples: int) -> np.ndarray:
    """Return values of `bits` bits, (height, width, samples), black and white among them."""
    values = generator().integers(0, 2**bits, (HEIGHT, WIDTH, samples))
    values[0, :2] = (np.zeros(samples), np.full(samples, 2**bits - 1))
    return values


def eight(values: np.ndarray, bits: int) -> np.ndarray:
    """Scale values to 8 bits in floating point."""
    return np.floor(values.astype(float) * 255 / (2**bits - 1) + 0.5).astype(int)


def packed(values: np.ndarray, bits: int, order: str) -> bytes:
    """Return rows of values, each row padded to a byte."""
    if bits in {8, 16, 32}:
        return values.astype(f"{order}u{bits // 8}").tobytes()
    rows = values.reshape(values.shape[0], -1)
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((rows[..., None] >> shifts & 1).reshape(len(rows), -1), axis=1).tobytes()


def write(
    values: np.ndarray, bits: int, photometric: int, *, order: str = "<", planar: int = 1,
    tags: dict[int, tuple[int, ...]] | None = None, big: bool = False, rows: int = HEIGHT,
) -> bytes:  # fmt: skip
    """Write an uncompressed TIFF by hand: strips of `rows` rows."""
    samples = values.shape[2]
    planes = [values] if planar == 1 else [values[..., at : at + 1] for at in range(samples)]
    strips = [
        packed(plane[start : start + rows], bits, order)
        for plane in planes
        for start in range(0, HEIGHT, rows)
    ]
    start = 16 if big else 8
    offsets = tuple(itertools.accumulate((len(strip) for strip in strips), initial=start))
    entries: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("I", (WIDTH,)), 257: ("I", (HEIGHT,)), 258: ("H", (bits,) * samples),
        259: ("H", (1,)), 262: ("H", (photometric,)), 273: ("I", offsets[:-1]),
        277: ("H", (samples,)), 278: ("I", (rows,)),
        279: ("I", tuple(len(strip) for strip in strips)), 284: ("H", (planar,)),
    }  # fmt: skip
    entries |= {tag: ("H", value) for tag, value in (tags or {}).items()}
    body = b"".join(strips)
    at = start + len(body)
    field, head = ("Q", 20) if big else ("I", 12)
    count_form = "Q" if big else "H"
    extra_at = at + struct.calcsize(count_form) + head * len(entries) + struct.calcsize(field)
    table, extra = struct.pack(order + count_form, len(entries)), b""
    for tag, (form, content) in sorted(entries.items()):
        raw = struct.pack(f"{order}{len(content)}{form}", *content)
        table += struct.pack(f"{order}HH{field}", tag, {"H": 3, "I": 4}[form], len(content))
        room = struct.calcsize(field)
        if len(raw) > room:
            table += struct.pack(order + field, extra_at + len(extra))
            extra += raw
        else:
            table += raw.ljust(room, b"\0")
    sign = {"<": b"II", ">": b"MM"}[order]
    if big:
        header = sign + struct.pack(f"{order}HHHQ", 43, 8, 0, at)
    else:
        header = sign + struct.pack(f"{order}HI", 42, at)
    return header + body + table + struct.pack(order + field, 0) + extra


def by_tifffile(values: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, metadata=None, **options)
    return stream.getvalue()


def assert_rgb(data: bytes, expected: np.ndarray, tolerance: int = 0) -> None:
    image = read_image(data)
    if expected.ndim == 2 or expected.shape[-1] == 1:
        expected = np.repeat(expected.reshape(HEIGHT, WIDTH, 1), 3, axis=-1)
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= tolerance


# Values


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("big", [False, True])
def test_grey_of_every_depth(bits: int, order: str, photometric: int, big: bool) -> None:
    values = values_of(bits, 1)
    expected = eight(values, bits)
    data = write(values, bits, photometric, order=order, big=big, rows=7)
    assert_rgb(data, 255 - expected if photometric == 0 else expected)


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_rgb_of_every_depth_in_one_plane_or_three(bits: int, planar: int, order: str) -> None:
    values = values_of(bits, 3)
    assert_rgb(write(values, bits, 2, planar=planar, order=order, rows=6), eight(values, bits))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
def test_cmyk(bits: int, planar: int) -> None:
    values = values_of(bits, 4)
    ink = eight(values, bits) / 255
    expected = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert_rgb(write(values, bits, 5, planar=planar), expected, tolerance=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("eight_bit_entries", [False, True])
def test_palette(bits: int, eight_bit_entries: bool) -> None:
    values = values_of(bits, 1)
    entries = generator().integers(0, 256 if eight_bit_entries else 65536, (3, 2**bits))
    entries[0, 0] = 255 if eight_bit_entries else 65535
    data = write(values, bits, 3, tags={320: tuple(entries.ravel().tolist())})
    colours = entries if eight_bit_entries else eight(entries, 16)
    assert_rgb(data, colours.T[values[..., 0]])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize(("photometric", "colours"), [(0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("kind", [None, 0, 1, 2])
def test_extra_samples(
    bits: int, planar: int, photometric: int, colours: int, kind: int | None
) -> None:
    """Missing and 2: not multiplied yet. 1: multiplied already. 0: no transparency."""
    values = values_of(bits, colours + 1)
    tags = {} if kind is None else {338: (kind,)}
    expected = eight(values[..., :-1], bits)
    if photometric == 0:
        expected = 255 - expected
    if kind in {None, 2}:
        expected = np.floor(expected * eight(values[..., -1:], bits) / 255 + 0.5).astype(int)
    assert_rgb(write(values, bits, photometric, planar=planar, tags=tags), expected)


@pytest.mark.parametrize("kind", [1, 2])
def test_alpha_that_is_0_everywhere_is_ignored(kind: int) -> None:
    values = values_of(8, 4)
    values[..., 3] = 0
    assert_rgb(write(values, 8, 2, tags={338: (kind,)}), values[..., :3])


@pytest.mark.parametrize(
    ("bits", "kind", "words"),
    [
        (8, 2, "8-bit signed values, whose black and white are unknown"),
        (16, 2, "16-bit signed values, whose black and white are unknown"),
        (32, 2, "32-bit signed values, whose black and white are unknown"),
        (32, 3, "32-bit floating-point values, whose black and white are unknown"),
        (16, 3, "16-bit floating-point values, whose black and white are unknown"),
        (32, 1, "32-bit values, whose black and white are unknown"),
    ],
)
def test_values_without_known_black_and_white_are_refused(bits: int, kind: int, words: str) -> None:
    data = write(values_of(min(bits, 16), 1), bits, 1, tags={339: (kind,)})
    with pytest.raises(ImageError, match=rf"TIFF of a kind that is not supported \({words}\)") as e:
        read_image(data)
    assert e.value.kind == "not supported"
    assert "convert it to 8 or 16 bits" in e.value.fault


@pytest.mark.parametrize(
    ("photometric", "samples", "tags", "words"),
    [
        (8, 3, {}, r"CIE L\*a\*b\* colours"),
        (4, 1, {}, "a transparency mask"),
        (32803, 1, {}, "the raw mosaic of a sensor"),
        (1, 3, {338: (0, 0)}, "3 values a pixel"),
        (2, 2, {}, "2 values a pixel"),
        (5, 4, {332: (2,)}, "inks other than CMYK"),
        (777, 1, {}, "photometric interpretation 777"),
        (6, 1, {}, "1 values a pixel"),
        (6, 3, {}, "YCbCr of this kind without JPEG"),
        (6, 3, {530: (2, 1)}, "YCbCr of this kind without JPEG"),
        (1, 1, {259: (34712,)}, "compression"),
        (1, 1, {259: (50001,)}, "compression WEBP"),
        (1, 1, {32997: (2,)}, "a volume"),
        (2, 3, {284: (3,)}, "planar configuration 3"),
    ],
)
def test_other_kinds_are_refused_by_name(
    photometric: int, samples: int, tags: dict[int, tuple[int, ...]], words: str
) -> None:
    data = write(values_of(8, samples), 8, photometric, tags=tags)
    with pytest.raises(ImageError, match=rf"is a TIFF of a kind that is not supported \({words}"):
        read_image(data)


# Compression, tiles, pages


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd", "lzma"])
@pytest.mark.parametrize("tile", [None, TILE])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("stored", ["<u1", "<u2", ">u2"])
def test_compressed_with_and_without_predictor(
    compression: str, predictor: bool, tile: tuple[int, int] | None, planar: str, stored: str
) -> None:
    order, bits = stored[0], 8 * np.dtype(stored).itemsize
    values = values_of(bits, 3).astype(stored)
    data = by_tifffile(
        np.moveaxis(values, -1, 0) if planar == "separate" else values,
        photometric="rgb", planarconfig=planar, compression=compression, predictor=predictor,
        tile=tile, byteorder=order, **({} if tile else {"rowsperstrip": 6}),
    )  # fmt: skip
    assert_rgb(data, eight(values, bits))


@pytest.mark.parametrize("compression", [None, "packbits"])
@pytest.mark.parametrize("tile", [None, TILE])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiles_and_packed_bytes(
    compression: str | None, tile: tuple[int, int] | None, planar: str
) -> None:
    values = values_of(8, 3).astype(np.uint8)
    data = by_tifffile(
        np.moveaxis(values, -1, 0) if planar == "separate" else values,
        photometric="rgb", planarconfig=planar, compression=compression, tile=tile,
    )  # fmt: skip
    assert_rgb(data, values)


def test_bits_in_reverse_order() -> None:
    values = values_of(8, 1)
    backwards = np.packbits(np.unpackbits(values.astype(np.uint8), axis=2)[..., ::-1], axis=2)
    assert_rgb(write(backwards, 8, 1, tags={266: (2,)}), values)


@pytest.mark.parametrize("compression", ["raw", "group3", "group4", "tiff_ccitt", "packbits"])
def test_bilevel_of_fax_machines(compression: str) -> None:
    values = generator().random((HEIGHT, WIDTH)) > 0.5
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF", compression=compression)
    assert_rgb(stream.getvalue(), values * 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "raw", "tiff_adobe_deflate"])
def test_what_libtiff_writes_is_read_as_libtiff_reads_it(mode: str, compression: str) -> None:
    smooth = np.linspace(0, 255, HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
    image = Image.fromarray(smooth).convert(mode)
    stream = io.BytesIO()
    options = {"quality": 95} if compression == "jpeg" else {}
    image.save(stream, "TIFF", compression=compression, **options)
    expected = np.asarray(Image.open(io.BytesIO(stream.getvalue())).convert("RGB"))
    assert_rgb(stream.getvalue(), expected.astype(int), tolerance=2)
    assert_rgb(stream.getvalue(), np.asarray(image.convert("RGB")).astype(int), tolerance=12)


def test_jpeg_strips_that_are_cut_are_refused() -> None:
    noise = generator().integers(0, 256, (256, 256, 3), dtype=np.uint8)
    data = bytearray(by_tifffile(noise, compression="jpeg", photometric="ycbcr"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        start, count = tiff.pages.first.dataoffsets[0], tiff.pages.first.databytecounts[0]
    half = start + count // 2
    data[half : start + count] = b"\xff\xd9" + bytes(start + count - half - 2)
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_image(bytes(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int) -> None:
    values = values_of(8, 3)
    image = Image.fromarray(values.astype(np.uint8))
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # as EXIF defines them
    expected = image if orientation == 1 else image.transpose(Image.Transpose(turn[orientation]))
    result = read_image(write(values, 8, 2, tags={274: (orientation,)}))
    assert np.array_equal(result, np.asarray(expected))


def test_pages_by_number() -> None:
    stream = io.BytesIO()
    pages = [values_of(8, 3).astype(np.uint8) for _ in range(3)]
    with tifffile.TiffWriter(stream) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", metadata=None)
    for number, page in enumerate(pages):
        assert np.array_equal(read_image(stream.getvalue(), frame=number), page)
    with pytest.raises(ImageError, match=r"has no frame 3 \(3 frames, counted from 0\)"):
        read_image(stream.getvalue(), frame=3)


# Damage and bounds


def test_size_is_bounded_by_the_header() -> None:
    data = write(values_of(8, 1), 8, 1)
    huge = data.replace(struct.pack("<HHII", 257, 4, 1, HEIGHT),
                        struct.pack("<HHII", 257, 4, 1, 10**8))  # fmt: skip
    with pytest.raises(ImageError, match="more than 100 megapixels, so it was not decoded"):
        read_image(huge)


def test_tiles_are_bounded() -> None:
    values = values_of(8, 1)
    data = bytearray(by_tifffile(values[..., 0].astype(np.uint8), tile=TILE))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        tags = [tiff.pages.first.tags[tag] for tag in (322, 323)]
    for tag in tags:
        struct.pack_into("<H" if tag.dtype == 3 else "<I", data, tag.valueoffset, 65520)
    with pytest.raises(ImageError, match="too large"):
        read_image(bytes(data))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory in Linux' unit, KiB")
@pytest.mark.parametrize("compression", ["deflate", "lzma", "zstd", "packbits", "jpeg"])
def test_a_strip_that_unpacks_to_more_than_the_image_takes_no_memory(
    compression: str, tmp_path: Path
) -> None:
    side = 8192
    bomb = bytearray(by_tifffile(
        np.zeros((side, side * 2), np.uint8), compression=compression, rowsperstrip=side
    ))  # fmt: skip
    with tifffile.TiffFile(io.BytesIO(bytes(bomb))) as tiff:
        places = {tag: tiff.pages.first.tags[tag].valueoffset for tag in (256, 257, 278)}
        forms = {tag: tiff.pages.first.tags[tag].dtype for tag in (256, 257, 278)}
    for tag, place in places.items():
        struct.pack_into("<H" if forms[tag] == 3 else "<I", bomb, place, 16)
    path = tmp_path / "bomb.tif"
    path.write_bytes(bytes(bomb))
    name, grown = read_in_a_process(path)
    assert name in {"read", "ImageError"}
    assert grown < 40 * 1024  # KiB; all of it would take 128 MB


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "jpeg"])
def test_cut_files_are_refused(share: float, compression: str | None) -> None:
    values = generator().integers(0, 256, (64, 64, 3), dtype=np.uint8)
    photometric = "ycbcr" if compression == "jpeg" else "rgb"
    data = by_tifffile(values, compression=compression, photometric=photometric)
    with pytest.raises(ImageError):
        read_image(data[: int(len(data) * share)])


def entry(tag: int, value: int, form: int = 4) -> bytes:
    """Return the entry of one value in a directory."""
    return struct.pack("<HHII", tag, form, 1, value)


@pytest.mark.parametrize("count", [0, 700, WIDTH * HEIGHT + 10])
def test_wrong_lengths_of_uncompressed_strips_do_no_harm(count: int) -> None:
    values = values_of(8, 1)
    data = write(values, 8, 1)
    assert_rgb(data.replace(entry(279, WIDTH * HEIGHT), entry(279, count)), values)


@pytest.mark.parametrize("place", [0, 10**6])
def test_strips_outside_of_the_file_are_refused(place: int) -> None:
    data = write(values_of(8, 1), 8, 1)
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_image(data.replace(entry(273, 8), entry(273, place)))


def test_a_missing_photometric_interpretation_is_named() -> None:
    data = write(values_of(8, 1), 8, 1)
    with pytest.raises(ImageError, match=r"not supported \(no photometric interpretation"):
        read_image(data.replace(entry(262, 1, 3), entry(263, 1, 3)))


def test_the_library_says_nothing_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "odd.tif"
    path.write_bytes(by_tifffile(np.zeros((16, 16), np.uint8))[:-30])
    code = (
        "import pathlib, sys\nfrom endoexit.errors import ImageError\n"
        "from endoexit.images.decode import read_image\n"
        "try:\n    read_image(pathlib.Path(sys.argv[1]))\nexcept ImageError:\n    pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
