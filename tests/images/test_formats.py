"""The one list of suffixes, and the formats by their first bytes."""

import io
from pathlib import Path

import pytest
from PIL import Image

from endoexit.data.folders import list_images
from endoexit.images.decode import read_image
from endoexit.images.formats import FORMATS, IMAGE_SUFFIXES, format_of
from endoexit.runtime.inputs import Inputs

ROOT = Path(__file__).resolve().parents[2]


def test_every_suffix_that_pillow_writes_in_a_format_of_ours_is_known() -> None:
    Image.init()
    named = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert named - {".pfm"} <= IMAGE_SUFFIXES  # a PFM holds floats, which are refused


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_suffix_is_found_by_every_walk_and_is_read(suffix: str, tmp_path: Path) -> None:
    Image.init()
    kinds = Image.registered_extensions() | {
        ".jif": "JPEG", ".dib": "BMP", ".jpm": "JPEG2000", ".mpo": "JPEG"
    }  # fmt: skip
    kind = kinds[suffix]
    image = Image.new("1" if suffix == ".pbm" else "RGB", (16, 16), 1)
    upper, lower = tmp_path / "a" / f"1{suffix.upper()}", tmp_path / "a" / f"2{suffix}"
    upper.parent.mkdir()
    for path in (upper, lower):
        with path.open("wb") as stream:
            image.save(stream, kind)
        assert read_image(path).shape == (16, 16, 3)
    assert [file.path for file in list_images(tmp_path).files] == [
        f"a/{upper.name}", f"a/{lower.name}"
    ]  # fmt: skip
    assert [image.path for image in Inputs([str(tmp_path)])] == [upper, lower]


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_are_known_by_their_first_bytes(kind: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, kind)
    assert format_of(stream.getvalue()) == kind


def test_other_bytes_are_of_no_format() -> None:
    assert format_of(b"not an image") is None
    assert format_of(b"") is None
    assert format_of(b"RIFF....WAVE") is None


def test_there_is_one_list() -> None:
    """No other file of the package lists suffixes of images."""
    sources = (ROOT / "src").rglob("*.py")
    listing = [path.name for path in sources if '".jpg"' in path.read_text(encoding="utf-8")]
    assert listing == []
