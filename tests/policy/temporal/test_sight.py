"""What is seen of a frame: formulas on made pictures, blind frames of the phantom told apart."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from endoexit.policy.temporal.settings import Blind
from endoexit.policy.temporal.sight import SIDE, blindness, see
from phantom_clips import still


def one_colour(*rgb: int, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), rgb, np.uint8)


@pytest.mark.parametrize("side", [16, 50, 224])
def test_the_tiny_picture_has_the_means_of_its_parts(side):
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    sight = see(pixels)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    parts = [np.arange(side)[at * side // SIDE : (at + 1) * side // SIDE] for at in range(SIDE)]
    means = [[luma[np.ix_(down, across)].mean() for across in parts] for down in parts]
    np.testing.assert_allclose(sight.tiny, means, rtol=1e-5)
    assert sight.brightness == pytest.approx(luma.mean(), rel=1e-5)


def test_a_frame_of_fewer_pixels_has_a_tiny_picture_too():
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    sight = see(pixels)
    assert sight.tiny.mean() == pytest.approx(sight.brightness, rel=1e-5)


def test_the_distance_is_the_mean_difference_in_grey_levels():
    a, b = see(one_colour(100, 100, 100)), see(one_colour(110, 110, 110))
    assert a.distance(b) == b.distance(a) == pytest.approx(10, rel=1e-4)
    assert a.distance(a) == 0


def test_detail_follows_blur_and_not_brightness():
    sharp = still("polyps")
    soft = np.array(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(8)))
    darker = (sharp * 0.5).astype(np.uint8)
    assert see(soft).detail < 0.6 * see(sharp).detail
    assert see(darker).detail == pytest.approx(see(sharp).detail, rel=0.1)
    assert see(one_colour(200, 90, 80)).detail == 0


def test_tissue_is_counted_among_the_pixels_that_are_not_black():
    pixels = one_colour(0, 0, 0)
    pixels[:16] = (200, 90, 80)
    pixels[16:32] = (90, 120, 200)
    assert see(pixels).tissue == 0.5
    assert see(one_colour(0, 0, 0)).tissue == 0


@pytest.mark.parametrize("label", ["polyps", "normal-cecum", "ulcerative-colitis", "esophagitis"])
def test_a_rendered_frame_is_not_blind(label):
    assert blindness(see(still(label)), Blind()) is None


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda image: (np.asarray(image) * 0.1).astype(np.uint8), "dark"),
        (lambda image: np.asarray(image.filter(ImageFilter.GaussianBlur(14))), "blurred"),
        (lambda image: np.asarray(image)[..., ::-1], "out of body"),
        (lambda image: np.asarray(image.convert("L").convert("RGB")), "out of body"),
        (lambda image: np.full((160, 160, 3), (190, 80, 70), np.uint8), "blurred"),
    ],
)
def test_a_blind_frame_is_told_from_the_others(change, kind):
    image = Image.fromarray(still("polyps"))
    assert blindness(see(np.ascontiguousarray(change(image))), Blind()) == kind


def test_each_limit_can_be_set_aside():
    black = see(one_colour(0, 0, 0))
    assert blindness(black, Blind(dark=0, body=0, blur=0)) is None
