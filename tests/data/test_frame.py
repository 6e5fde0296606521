"""Borders and insets are found where they were painted, and only a class's own is a shortcut."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from endoexit.auditing.shortcuts import find_shortcuts, frame_shares
from endoexit.data.facts import ImageFacts
from endoexit.data.folders import ImageFile
from endoexit.data.frame import Frame, measure_frame
from endoexit.images.decode import read_image

TISSUE = (190, 90, 70)
GREEN = (40, 140, 90)
SIZE = (360, 288)


def view(round_field: bool = False) -> Image.Image:
    image = Image.new("RGB", SIZE, (0, 0, 0) if round_field else TISSUE)
    if round_field:
        ImageDraw.Draw(image).ellipse((36, 0, 324, 287), fill=TISSUE)
    return image


def corner(vertical: str, horizontal: str) -> tuple[int, int, int, int]:
    left, top = (0 if horizontal == "left" else 260), (0 if vertical == "upper" else 198)
    return left, top, left + 99, top + 89


def measure(image: Image.Image) -> Frame:
    return measure_frame(np.asarray(image))


def test_a_view_that_fills_the_image_has_no_border() -> None:
    assert measure(view()) == Frame(0.0, "")


def test_the_border_is_the_black_area_around_the_view() -> None:
    expected = 1 - np.pi / 4 * 288 * 288 / (360 * 288)  # all but the ellipse
    assert measure(view(round_field=True)).border == pytest.approx(expected, abs=0.02)
    bar = view()
    ImageDraw.Draw(bar).rectangle((0, 0, 35, 287), fill=(0, 0, 0))
    assert measure(bar) == Frame(pytest.approx(0.1, abs=0.005), "")


def test_a_dark_spot_inside_the_view_is_no_border() -> None:
    lumen = view()
    ImageDraw.Draw(lumen).ellipse((100, 100, 200, 200), fill=(0, 0, 0))
    assert measure(lumen) == Frame(0.0, "")


@pytest.mark.parametrize("vertical", ["upper", "lower"])
@pytest.mark.parametrize("horizontal", ["left", "right"])
@pytest.mark.parametrize(("name", "colour"), [("green", GREEN), ("black", (3, 2, 4))])
@pytest.mark.parametrize("round_field", [False, True])
def test_insets_are_found_in_each_corner(
    vertical: str, horizontal: str, name: str, colour: tuple[int, int, int], round_field: bool
) -> None:
    image = view(round_field)
    ImageDraw.Draw(image).rectangle(corner(vertical, horizontal), fill=colour)
    assert measure(image).inset == f"{name} {vertical} {horizontal}"


@pytest.mark.parametrize("size", [(300, 300), (1920, 1072), (90, 70)])
def test_insets_are_found_at_any_size(size: tuple[int, int]) -> None:
    image = view(round_field=True)
    ImageDraw.Draw(image).rectangle(corner("lower", "left"), fill=GREEN)
    assert measure(image.resize(size)).inset == "green lower left"


def test_blue_dye_bars_and_small_marks_are_no_inset() -> None:
    dyed = view()
    ImageDraw.Draw(dyed).rectangle((0, 150, 150, 287), fill=(40, 80, 160))
    letterbox = view()
    ImageDraw.Draw(letterbox).rectangle((0, 0, 359, 40), fill=(0, 0, 0))
    mark = view()
    ImageDraw.Draw(mark).rectangle((0, 260, 40, 287), fill=GREEN)
    assert [measure(image).inset for image in (dyed, letterbox, mark)] == ["", "", ""]


def facts(label: str, *frames: Frame) -> list[ImageFacts]:
    return [ImageFacts(ImageFile("x", label), "", 1, 1, b"", frame) for frame in frames]


NONE, INSET = Frame(0.0, ""), Frame(0.0, "green lower left")


def test_an_inset_that_one_class_has_is_a_shortcut() -> None:
    images = facts("polyp", *[NONE] * 30, *[INSET] * 3) + facts("cecum", *[NONE] * 30)
    (shortcut,) = find_shortcuts(images)
    assert (shortcut.feature, shortcut.label) == ("position inset", "polyp")
    assert shortcut.text == (
        "position inset: 9% of polyp have one, and no other class does; paint the same area "
        "black in all images, whatever their class."
    )


def test_an_uneven_inset_is_a_shortcut_and_an_even_one_is_not() -> None:
    cecum = facts("cecum", *[NONE] * 8, *[INSET] * 2)
    (shortcut,) = find_shortcuts(facts("polyp", *[NONE] * 5, *[INSET] * 5) + cecum)
    assert "50% of polyp have one, 20% of cecum" in shortcut.text
    assert find_shortcuts(facts("polyp", *[NONE] * 6, *[INSET] * 4) + cecum) == ()


def test_two_images_prove_nothing_and_one_class_has_no_shortcut() -> None:
    assert find_shortcuts(facts("polyp", INSET, INSET) + facts("cecum", NONE, NONE)) == ()
    assert find_shortcuts(facts("polyp", *[INSET] * 9)) == ()


def test_borders_of_different_area_are_a_shortcut() -> None:
    wide, narrow = Frame(0.3, ""), Frame(0.15, "")
    (shortcut,) = find_shortcuts(facts("polyp", *[narrow] * 5) + facts("cecum", *[wide] * 5))
    assert shortcut.text.startswith("border area: 30% of the image in cecum, 15% in polyp; crop")
    bordered = find_shortcuts(facts("polyp", *[NONE] * 5) + facts("cecum", *[wide] * 5))
    assert [shortcut.feature for shortcut in bordered] == ["black border", "border area"]


def test_shares_by_class() -> None:
    shares = frame_shares(facts("b", Frame(0.1, ""), INSET) + facts("a", NONE))
    assert list(shares) == ["a", "b"]
    b = shares["b"]
    assert (b.images, b.border, b.bordered, b.inset) == (2, 0.05, 0.5, 0.5)


@pytest.mark.parametrize(
    ("folder", "least", "most"), [("colonoscopy", 0.99, 1), ("otoscopy", 0, 0)]
)
def test_real_insets(real_data: Path, folder: str, least: float, most: float) -> None:
    """All colonoscopy images had their inset painted black; otoscopes have none."""
    images = sorted((real_data / folder).rglob("*.jpg"))[::10]
    share = np.mean([bool(measure_frame(read_image(path)).inset) for path in images])
    assert least <= share <= most
