"""JPEG pixels are those of Pillow, and a file that lost data is damaged."""

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from pixel_values import smooth


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
