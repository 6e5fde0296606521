"""Attention inside the outlines of the finding."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from endoexit.data.frame import field_of_view
from endoexit.errors import DataError, ImageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.reporting.masks import find_masks, read_mask, share_inside, study_masks
from endoexit.reporting.material import Absent, ExitAttention
from report_material import make_material

SIDE = 32


def track(description, total):
    return nullcontext(SimpleNamespace(advance=lambda count=1: None))


class LeftHalf:
    """Attention at the left half of every image at exits 1 to 3, and nowhere at the final one."""

    def __call__(self, images):
        left = np.zeros((len(images), SIDE, SIDE), np.float32)
        left[:, :, : SIDE // 2] = 0.5
        return [ExitAttention(left, "cbam")] * 3 + [ExitAttention(0 * left, "grad-cam")]


def outlines(material):
    return find_masks(None, material.images, material.evaluation.images.paths)


@pytest.fixture
def material(tmp_path):
    material = make_material(images=12)
    root = tmp_path / "images"
    for path in material.evaluation.images.paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (90, 60, 50)).save(file)
    return replace(material, images=root, attention=LeftHalf())


def paint(path, box, size=(SIDE, SIDE)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("1", size)
    mask.paste(1, box)
    mask.save(path)


def test_the_share_is_of_the_field_of_view():
    values = np.array([[1, 2], [3, 4]], np.float32)
    mask = np.array([[True, False], [False, True]])
    everywhere = np.ones((2, 2), bool)
    assert share_inside(values, mask, everywhere) == pytest.approx(0.5)
    assert share_inside(values, mask, ~mask) == 0
    right = np.array([[False, True], [False, True]])
    assert share_inside(values, mask, right) == pytest.approx(4 / 6)
    assert share_inside(0 * values, mask, everywhere) is None


def test_the_black_border_is_no_field_of_view_but_a_dark_middle_is():
    image = np.full((20, 20, 3), 100, np.uint8)
    image[:, :5] = 3
    image[10:12, 10:12] = 0
    field = field_of_view(image)
    assert not field[:, :5].any()
    assert field[:, 5:].all()


def test_masks_are_found_beside_the_images_by_name_or_path(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    paint(tmp_path / "masks" / "a.png", (0, 0, 8, 8))
    paint(tmp_path / "masks" / "polyp" / "b.png", (0, 0, 8, 8))
    masks = find_masks(None, root, ("polyp/a.jpg", "polyp/b.jpg", "polyp/c.jpg"))
    assert masks.of("polyp/a.jpg").name == "a.png"
    assert masks.of("polyp/b.jpg").name == "b.png"
    assert masks.of("polyp/c.jpg") is None
    assert isinstance(find_masks(None, tmp_path / "elsewhere" / "images", ()), Absent)
    with pytest.raises(DataError, match="name the folder of the masks"):
        find_masks(tmp_path / "nowhere", root, ())


def test_no_image_gets_the_mask_of_another(tmp_path):
    masks = tmp_path / "masks"
    for name in ("b/0001.png", "0002.png", "0003.png", "c/0004.png"):
        paint(masks / name, (0, 0, 8, 8))
    images = ("a/0001.png", "b/0001.png", "a/0002.png", "b/0002.png", "a/0003.png",
              "c/0004.jpg", "c/0004.png", "0002.jpg")  # fmt: skip
    matched = find_masks(masks, Absent("No root."), images)
    assert matched.paths == {
        "b/0001.png": masks / "b" / "0001.png",  # not of a/0001.png
        "a/0003.png": masks / "0003.png",
        "0002.jpg": masks / "0002.png",  # in the images' folder too; three images have the name
    }


def test_a_mask_of_another_size_is_refused(tmp_path):
    paint(tmp_path / "mask.png", (0, 0, 4, 4), (16, 16))
    Image.new("RGB", (32, 32)).save(tmp_path / "image.png")
    with pytest.raises(ImageError, match=r"16×16 pixels, its image 32×32: give it the size"):
        read_mask(tmp_path / "mask.png", Preprocessing(size=32), ImageRef(tmp_path / "image.png"))


def test_the_study_is_what_the_network_looks_at(material):
    """Masks are the upper left quarter: all of it is looked at, it is a quarter of the field."""
    folder = material.images.parent / "masks"
    paths = material.evaluation.images.paths
    for path in paths[:6]:
        paint((folder / path).with_suffix(".png"), (0, 0, SIDE // 2, SIDE // 2))
    paint((folder / paths[6]).with_suffix(".png"), (0, 0, 4, 4), (16, 16))  # does not fit
    paint((folder / paths[7]).with_suffix(".png"), (0, 0, 0, 0))  # empty
    study = study_masks(material, outlines(material), track)
    assert (study.with_mask, study.used, study.unusable) == (8, 6, 2)
    for in_mask in study.exits[:3]:
        assert in_mask.inside.value == pytest.approx(0.5, abs=0.02)
        assert in_mask.area.value == pytest.approx(0.25)
        assert in_mask.gain.value == pytest.approx(0.25, abs=0.02)
        assert in_mask.images == 6
    final = study.exits[3]
    assert (final.kind, final.images, final.inside.value) == ("grad-cam", 0, None)


def test_without_a_network_there_is_no_study(material):
    folder = material.images.parent / "masks"
    paint((folder / material.evaluation.images.paths[0]).with_suffix(".png"), (0, 0, 8, 8))
    without = replace(material, attention=Absent("Gone."))
    assert study_masks(without, outlines(material), track) == Absent("Gone.")
