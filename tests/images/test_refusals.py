"""Bounds of what is decoded: sides, pixels, bytes."""

import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from endoexit.images.refusals import MAX_PIXELS, MIN_SIDE
from image_bytes import encode, png, read_in_a_process


def test_too_small_image() -> None:
    with pytest.raises(ImageError, match=r"too small \(1×1 pixels, each side needs 8 or more\)"):
        read_image(encode(Image.new("RGB", (1, 1))))
    with pytest.raises(ImageError, match=r"too small \(300×7 pixels"):
        read_image(encode(Image.new("RGB", (300, MIN_SIDE - 1))))
    assert read_image(encode(Image.new("RGB", (300, MIN_SIDE)))).shape == (MIN_SIDE, 300, 3)


@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (12000, 10000), (2**31 - 1, 8)])
def test_bomb_is_refused_by_its_header(width: int, height: int, tmp_path: Path) -> None:
    assert width * height > MAX_PIXELS
    file = tmp_path / "bomb.png"
    file.write_bytes(png(width, height, 8, 2))
    start = time.process_time()
    with pytest.raises(
        ImageError, match="more than 100 megapixels, so it was not decoded"
    ) as caught:
        read_image(file)
    assert time.process_time() - start < 1
    assert "bomb.png is too large" in str(caught.value)
    assert "scale it down or remove it" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory in Linux' unit, KiB")
def test_bomb_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    file.write_bytes(png(20000, 20000, 8, 2, b"\0" * 100_000))
    name, grown = read_in_a_process(file)
    assert name == "ImageError"
    assert grown < 20 * 1024  # KiB; the pixels would take 1.2 GB


def test_oversized_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.tif"
    with file.open("wb") as stream:
        stream.truncate(2**30)  # sparse: takes no room
    with pytest.raises(ImageError, match=r"huge\.tif is larger than 512 MiB"):
        read_image(file)
