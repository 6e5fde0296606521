"""The one list of suffixes, and the formats by their first bytes."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from dicom_makers import content, dataset, picture
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
    upper, lower = tmp_path / "a" / f"1{suffix.upper()}", tmp_path / "a" / f"2{suffix}"
    upper.parent.mkdir()
    for path in (upper, lower):
        path.write_bytes(_content(suffix))
        assert read_image(path).shape == (16, 16, 3)
    assert [file.path for file in list_images(tmp_path).files] == [
        f"a/{upper.name}", f"a/{lower.name}"
    ]  # fmt: skip
    assert [image.path for image in Inputs([str(tmp_path)])] == [upper, lower]


def _content(suffix: str) -> bytes:
    """Return a small image of the format that files of a suffix have."""
    if suffix in {".dcm", ".dic", ".dicom"}:
        return content(dataset(picture(16, 16)[None]))
    kinds = Image.registered_extensions() | {
        ".jif": "JPEG", ".dib": "BMP", ".jpm": "JPEG2000", ".mpo": "JPEG"
    }  # fmt: skip
    stream = io.BytesIO()
    Image.new("1" if suffix == ".pbm" else "RGB", (16, 16), 1).save(stream, kinds[suffix])
    return stream.getvalue()


def test_dicom_is_found_by_content_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("IM000001", "scan.ima", "1.2.840.3"):
        (folder / name).write_bytes(_content(".dcm"))
    (folder / "notes.txt").write_bytes(b"no image")
    (folder / "DICOMDIR").write_bytes(_content(".dcm"))
    os.mkfifo(folder / "pipe")  # opening it would wait for ever
    paths = {f"a/{name}" for name in ("IM000001", "scan.ima", "1.2.840.3")}
    listing = list_images(tmp_path)
    assert {file.path for file in listing.files} == paths
    assert {kind["suffix"] for kind in listing.passed_over} == {".txt", ""}
    inputs = {str(image.path.relative_to(tmp_path)) for image in Inputs([str(tmp_path)])}
    assert inputs == paths


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_are_known_by_their_first_bytes(kind: str) -> None:
    suffix = {"JPEG2000": ".jp2", "DICOM": ".dcm"}.get(kind, f".{kind.lower()}")
    assert format_of(_content(suffix)) == kind


def test_other_bytes_are_of_no_format() -> None:
    assert format_of(b"not an image") is None
    assert format_of(b"") is None
    assert format_of(b"RIFF....WAVE") is None


def test_there_is_one_list() -> None:
    """No other file of the package lists suffixes of images."""
    sources = (ROOT / "src").rglob("*.py")
    listing = [path.name for path in sources if '".jpg"' in path.read_text(encoding="utf-8")]
    assert listing == []
