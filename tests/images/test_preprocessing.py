"""From an image to the square of the network, and what tells settings apart."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from endoexit.errors import DataError, ImageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.refusals import MIN_SIDE
from image_bytes import encode


def test_stretch_keeps_the_whole_image(corners: Image.Image) -> None:
    image = Preprocessing(size=32).apply(np.asarray(corners))
    assert image.shape == (32, 32, 3)
    assert image[2, 2].tolist() == [255, 0, 0]
    assert image[2, -2].tolist() == [0, 255, 0]
    assert image[-2, 2].tolist() == [0, 0, 255]
    assert image[-2, -2].tolist() == [255, 255, 0]


def test_shorter_side_keeps_the_aspect_ratio_and_the_centre() -> None:
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 255  # the central square
    image = Preprocessing(size=20, resize="shorter-side").apply(pixels)
    assert image.shape == (20, 20, 3)
    assert (image[:, 1:-1] == 255).all()


@pytest.mark.parametrize("resize", ["stretch", "shorter-side"])
def test_crop_ratio_keeps_that_share_of_the_side(resize: str) -> None:
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[20:60, 20:60] = 255  # the central half
    half = Preprocessing.model_validate({"size": 32, "resize": resize, "crop_ratio": 0.5})
    assert (half.apply(pixels)[1:-1, 1:-1] == 255).all()
    whole = Preprocessing.model_validate({"size": 32, "resize": resize})
    assert whole.apply(pixels)[0, 0].tolist() == [0, 0, 0]


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    image = Preprocessing(size=64).apply(stripes)
    assert np.abs(image[:, 2:-2].astype(int) - 127.5).max() < 8


def test_image_of_the_right_size_passes_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    assert np.array_equal(Preprocessing(size=24).apply(image), image)


def test_load_takes_files_and_bytes(corners: Image.Image, tmp_path: Path) -> None:
    file = tmp_path / "corners.png"
    corners.save(file)
    preprocessing = Preprocessing(size=16)
    from_file = preprocessing.load(file)
    assert np.array_equal(from_file, preprocessing.load(file.read_bytes()))
    assert np.array_equal(from_file, preprocessing.apply(np.asarray(corners)))


def test_normalise_is_the_formula_and_channels_first() -> None:
    preprocessing = Preprocessing(size=8, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))
    batch = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    result = preprocessing.normalise(batch)
    expected = (batch / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    assert result.dtype == np.float32
    assert result.shape == (3, 3, 8, 8)
    assert result.transpose(0, 2, 3, 1).flags.c_contiguous, "channels last in memory"
    np.testing.assert_allclose(result, expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_arrays_of_another_kind_are_refused() -> None:
    preprocessing = Preprocessing(size=16)
    with pytest.raises(ImageError, match=r"got float32 \(16, 16, 3\): convert it to 8-bit RGB"):
        preprocessing.apply(np.zeros((16, 16, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"got uint8 \(16, 16\)"):
        preprocessing.apply(np.zeros((16, 16), np.uint8))
    with pytest.raises(DataError, match=r"\(B, 16, 16, 3\), got uint8 \(2, 8, 8, 3\)"):
        preprocessing.normalise(np.zeros((2, 8, 8, 3), np.uint8))


def test_a_strip_that_would_grow_beyond_all_bounds_is_refused() -> None:
    strip = encode(Image.new("RGB", (20_000, MIN_SIDE)))
    with pytest.raises(ImageError, match=r"too elongated \(20000×8 pixels\).*crop it or remove it"):
        Preprocessing(size=224, resize="shorter-side").load(strip)
    assert Preprocessing(size=224).load(strip).shape == (224, 224, 3)


def test_canvas_stretches_the_whole_image_and_keeps_the_statistics() -> None:
    preprocessing = Preprocessing(size=64, resize="shorter-side", crop_ratio=0.875, mean=(0.4,) * 3)
    assert preprocessing.canvas(96) == Preprocessing(size=96, mean=(0.4, 0.4, 0.4))


def test_fingerprint_covers_all_fields_and_geometry_only_the_pixels() -> None:
    base = Preprocessing()
    variants = [
        Preprocessing(size=128),
        Preprocessing(resize="shorter-side"),
        Preprocessing(crop_ratio=0.875),
        Preprocessing(interpolation="bicubic"),
        Preprocessing(mean=(0.4, 0.5, 0.5)),
        Preprocessing(std=(0.4, 0.5, 0.5)),
    ]
    fields = {"size", "resize", "crop_ratio", "mean", "std", "interpolation"}
    assert set(Preprocessing.model_fields) == fields
    assert len({each.fingerprint() for each in [base, *variants]}) == 7
    assert [each.geometry() == base.geometry() for each in variants] == [False] * 4 + [True] * 2
    again = Preprocessing.model_validate_json(base.model_dump_json())
    assert again.fingerprint() == base.fingerprint()


def test_fingerprints_of_the_first_release_still_hold() -> None:
    # Of the default settings, as version 0.1 wrote them into caches, logits and policies.
    assert Preprocessing().fingerprint()[:16] == "382b54ceb22ea4b7"
    assert Preprocessing().geometry()[:16] == "732b6b42198165d3"


def test_the_interpolation_is_the_one_named() -> None:
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    soft, sharp = (
        Preprocessing(size=48, interpolation=name).apply(edge) for name in ("bilinear", "bicubic")
    )
    assert soft.max() == 200
    assert sharp.max() > 200  # a cubic overshoots at an edge
    assert Preprocessing(interpolation="bicubic").canvas(96).interpolation == "bicubic"


def test_fingerprint_covers_the_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Preprocessing().fingerprint(), Preprocessing().geometry()
    monkeypatch.setattr("endoexit.images.preprocessing.ALGORITHM_VERSION", 10**6)
    assert Preprocessing().fingerprint() != before[0]
    assert Preprocessing().geometry() != before[1]


@pytest.mark.parametrize(
    "fields",
    [{"size": 7}, {"crop_ratio": 1.5}, {"std": (0, 1, 1)}, {"resize": "squash"}, {"sise": 64},
     {"mean": (float("nan"), 0, 0)}],
)  # fmt: skip
def test_impossible_settings_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        Preprocessing.model_validate(fields)


def test_the_decoder_is_no_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary files keep their pixels: policies of earlier releases stay valid."""
    before = Preprocessing().fingerprint(), Preprocessing().geometry()
    monkeypatch.setattr("endoexit.images.decode.DECODER_VERSION", -1)
    assert (Preprocessing().fingerprint(), Preprocessing().geometry()) == before
