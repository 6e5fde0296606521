"""Changes of images: stronger from strength to strength, and the same in any batch."""

import numpy as np
import pytest

from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from tiny import tiny_photos


@pytest.fixture(scope="module")
def images():
    return tiny_photos(6).repeat(3, axis=1).repeat(3, axis=2)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_strength_changes_more(images, name):
    changes = [
        np.abs(corrupt(images, name, level).astype(int) - images).mean() for level in STRENGTHS
    ]
    assert changes[0] > 0
    assert changes == sorted(changes)
    assert len(set(changes)) == len(STRENGTHS)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_changes_alike_in_any_batch_and_others_differently(images, name):
    whole = corrupt(images, name, 4)
    parts = [corrupt(images[:2], name, 4), corrupt(images[2:], name, 4, first=2)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert whole.dtype == np.uint8
    assert whole.shape == images.shape
    like = corrupt(np.stack([images[0]] * 8), name, 4)
    drawn = name not in {"blur", "jpeg"}  # nothing is drawn for these
    assert (len({image.tobytes() for image in like}) > 1) == drawn
    assert np.array_equal(corrupt(images, name, 4, seed=1), whole) == (not drawn)


def test_what_is_known_of_each_change():
    grey = np.full((4, 64, 64, 3), 120, np.uint8)
    assert np.array_equal(corrupt(grey, "blur", 5), grey), "a plain image has nothing to blur"
    factors = corrupt(grey, "brightness", 3)[:, 0, 0, 0] / 120
    assert set(np.round(factors, 1)) <= {0.5, 2.0}
    assert corrupt(grey, "colour", 2).mean(axis=-1) == pytest.approx(120, abs=1)
    assert corrupt(grey, "noise", 3).std() == pytest.approx(0.07 * 255, rel=0.05)
    assert corrupt(grey, "glare", 1).max() == 255
    edge = np.zeros((1, 64, 64, 3), np.uint8)
    edge[:, :, 32:] = 255
    profile = corrupt(edge, "blur", 5)[0, 32, :, 0].astype(float)
    # The derivative of a blurred edge is the Gaussian: its deviation is the share of the side.
    slope = np.diff(profile) / 255
    places = np.arange(63) + 0.5
    spread = np.sqrt((slope * (places - (slope * places).sum()) ** 2).sum())
    assert spread == pytest.approx(0.035 * 64, rel=0.05)
