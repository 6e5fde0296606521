"""Several sizes of one image as tiles of a square."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from endoexit.artifacts.source import SourceConfig
from endoexit.errors import DataError
from endoexit.images import decode
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.sheet import Sheet, places_of

SMALL = Preprocessing(size=32, resize="shorter-side", mean=(0.4, 0.5, 0.6))
LARGE = Preprocessing(size=80, interpolation="bicubic", std=(0.2, 0.3, 0.4))
SHEET = Sheet.of([SMALL, LARGE])


@pytest.fixture(scope="module")
def photo():
    values = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return np.array(Image.fromarray(values).resize((390, 270), Image.Resampling.BICUBIC))


@given(st.lists(st.integers(8, 300), min_size=1, max_size=10).map(sorted))
def test_tiles_lie_inside_and_apart(sides):
    sides = sides[::-1]
    places, side = places_of(sides)
    covered = np.zeros((side, side), np.int64)
    for (row, column), size in zip(places, sides, strict=True):
        assert max(row, column) + size <= side
        covered[row : row + size, column : column + size] += 1
    assert covered.max() == 1
    assert covered.sum() == sum(size * size for size in sides)


def test_the_side_of_two_tiles_is_their_sum():
    assert (SHEET.size, SHEET.places) == (112, {LARGE: (0, 0), SMALL: (0, 80)})


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_each_tile_has_the_pixels_of_its_preprocessing_alone(photo, tmp_path, form):
    file = tmp_path / f"photo.{form.lower()}"
    Image.fromarray(photo).save(file)
    sheet = SHEET.load(file)
    np.testing.assert_array_equal(sheet[:80, :80], LARGE.load(file))
    np.testing.assert_array_equal(sheet[:32, 80:], SMALL.load(file))
    np.testing.assert_array_equal(SHEET.viewed(sheet), LARGE.load(file))
    assert not sheet[80:].any()
    np.testing.assert_array_equal(SHEET.apply(photo)[:32, 80:], SMALL.apply(photo))


def test_each_tile_is_normalised_by_its_own_numbers(photo):
    sheets = np.stack([SHEET.apply(photo), SHEET.apply(photo[::-1])])
    values = SHEET.normalise(sheets)
    assert values.shape == (2, 3, 112, 112)
    large, small = sheets[:, :80, :80], sheets[:, :32, 80:]
    np.testing.assert_array_equal(values[:, :, :80, :80], LARGE.normalise(np.array(large)))
    np.testing.assert_array_equal(values[:, :, :32, 80:], SMALL.normalise(np.array(small)))
    with pytest.raises(DataError, match=r"\(B, 112, 112, 3\)"):
        SHEET.normalise(sheets[:, :80, :80])


def test_a_file_is_decoded_once_where_its_sizes_have_one_scale(photo, tmp_path, monkeypatch):
    asked = []
    read = decode.read_image
    monkeypatch.setattr(
        decode, "read_image", lambda data, **how: asked.append(how["at_least"]) or read(data, **how)
    )
    for form, at in (("png", [64]), ("jpg", [64])):
        Image.fromarray(photo).save(tmp_path / f"a.{form}")
        Sheet.of([Preprocessing(size=40), Preprocessing(size=64)]).load(tmp_path / f"a.{form}")
        assert asked == at, form
        asked.clear()
    Sheet.of([Preprocessing(size=32), Preprocessing(size=128)]).load(tmp_path / "a.jpg")
    assert asked == [128, 32]  # at 1/2 and at 1/8 of 390×270


def test_equal_preprocessings_share_a_tile_and_one_needs_no_sheet():
    assert Sheet.of([SMALL, LARGE, SMALL]) == SHEET
    assert Sheet.of([SMALL, SMALL]) == SMALL


def test_what_tells_sheets_apart():
    normalised_otherwise = Sheet.of([SMALL.replaced(mean=(0.1, 0.1, 0.1)), LARGE])
    assert normalised_otherwise.geometry() == SHEET.geometry()  # the same pixels
    assert normalised_otherwise.fingerprint() != SHEET.fingerprint()
    moved = Sheet.of([SMALL.replaced(resize="stretch"), LARGE])
    assert len({moved.geometry(), SHEET.geometry(), LARGE.geometry()}) == 3


def test_a_document_keeps_its_tiles():
    config = SourceConfig(model="cascade", classes=("a", "b"), preprocessing=SHEET)
    read = SourceConfig.model_validate(json.loads(config.model_dump_json()))
    assert read == config
    assert read.preprocessing == SHEET
    plain = config.replaced(preprocessing=SMALL)
    assert "tiles" not in plain.model_dump()["preprocessing"]
    with pytest.raises(ValidationError, match="need a sheet of 112"):
        SHEET.replaced(size=113)
    with pytest.raises(ValidationError, match="the largest first"):
        SHEET.replaced(tiles=(SMALL, LARGE))
