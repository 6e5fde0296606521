"""Each file is looked into once; what cannot be read is told apart by kind."""

import hashlib
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from endoexit.data import facts
from endoexit.data.duplicates import difference_hash
from endoexit.data.facts import hashes, look_into
from endoexit.data.folders import list_images
from endoexit.images.decode import read_image
from pictures import near_copy, picture, picture_folder, save


def huge_png_header() -> bytes:
    """A PNG that announces 20000×20000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    whole = save(picture(1), tmp_path / "a" / "1.jpg")
    content = whole.read_bytes()
    (tmp_path / "a" / "2-empty.jpg").write_bytes(b"")
    (tmp_path / "a" / "3-text.jpg").write_text("not an image")
    (tmp_path / "a" / "4-cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "a" / "5-huge.png").write_bytes(huge_png_header())
    save(picture(2, (1, 1)), tmp_path / "a" / "6-small.png")
    (tmp_path / "a" / "7-link.jpg").symlink_to(tmp_path / "gone.jpg")
    save(near_copy(1), tmp_path / "b" / "8.png")
    return tmp_path


def test_good_and_broken_files_are_told_apart(folder: Path) -> None:
    counted: list[int] = []
    good, broken = look_into(list_images(folder), counted.append)
    assert sum(counted) == 8
    assert [image.file.path for image in good] == ["a/1.jpg", "b/8.png"]
    assert [(item.file.path, item.kind) for item in broken] == [
        ("a/2-empty.jpg", "empty"),
        ("a/3-text.jpg", "not an image"),
        ("a/4-cut.jpg", "damaged"),
        ("a/5-huge.png", "refused"),
        ("a/6-small.png", "refused"),
        ("a/7-link.jpg", "refused"),
    ]
    # The path is given apart from the reason.
    assert not any(str(folder) in item.reason for item in broken)
    assert "is too small (1×1 pixels" in broken[4].reason


def test_a_cut_jpeg_with_an_end_marker_is_damaged_and_an_odd_kind_is_named(tmp_path: Path) -> None:
    content = save(picture(1), tmp_path / "a" / "1.jpg").read_bytes()
    (tmp_path / "a" / "2.jpg").write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    Image.fromarray(np.ones((16, 16), np.float32)).save(tmp_path / "a" / "3.tif")
    _, broken = look_into(list_images(tmp_path))
    assert [(item.file.path, item.kind) for item in broken] == [
        ("a/2.jpg", "damaged"),
        ("a/3.tif", "not supported"),
    ]
    assert "premature end of data" in broken[0].reason
    assert "convert it" in broken[1].reason


def test_facts_are_those_of_the_file(folder: Path) -> None:
    (first, second), _ = look_into(list_images(folder))
    assert first.sha256 == hashlib.sha256((folder / "a" / "1.jpg").read_bytes()).hexdigest()
    assert (first.width, first.height) == (68, 64)
    assert second.hash == difference_hash(np.asarray(near_copy(1))).tobytes()
    packed = hashes([first, second])
    assert packed.shape == (2, 32)
    assert packed[1].tobytes() == second.hash


def test_no_images_have_no_hashes() -> None:
    assert hashes([]).shape == (0, 32)


def test_an_interruption_does_not_wait_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = list_images(picture_folder(tmp_path, {"a": 200}))
    looked: list[bytes] = []

    def slow(data: bytes) -> np.ndarray:
        looked.append(data)
        time.sleep(0.01)
        return read_image(data)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(facts, "read_image", slow)
    with pytest.raises(KeyboardInterrupt):
        look_into(listing, interrupt)
    assert len(looked) < 100
