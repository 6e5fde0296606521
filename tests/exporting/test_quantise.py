"""Stages in int8 are fed as they are served, and are smaller."""

import numpy as np
import pytest

from endoexit.exporting import quantise
from endoexit.exporting.quantise import States

pytestmark = [pytest.mark.slow, pytest.mark.precision, pytest.mark.xdist_group("bundles")]


def test_int8_stages_are_smaller(bundles):
    sizes = {
        precision: sum(
            file.stat().st_size
            for file in (bundles.make("openvino", precision).path / "stages").glob("*.bin")
        )
        for precision in ("f32", "int8")
    }
    assert sizes["int8"] < 0.5 * sizes["f32"]


def test_each_stage_is_fed_what_the_stages_before_it_make_of_one_image():
    images = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)

    def halved(state):
        return [state[0] / 2, state[0].sum(axis=(1, 2))]

    feeds = States(images, [halved], ["map", "vector"])
    assert len(feeds) == 2
    for image, feed in zip(images, feeds, strict=True):
        assert list(feed) == ["map", "vector"]
        np.testing.assert_array_equal(feed["map"], image[None].transpose(0, 2, 3, 1) / 2)
        np.testing.assert_array_equal(feed["vector"], image.sum(axis=(1, 2))[None])
    assert len(list(feeds)) == 2  # NNCF passes over them several times


def test_the_images_of_train_are_chosen_by_their_seed(bundles, monkeypatch):
    run = bundles.run
    monkeypatch.setattr(quantise, "IMAGES", 5)
    chosen = [
        quantise.calibration_images(run.manifest(), run.config.preprocessing, None, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert chosen[0].shape == (5, 3, 64, 64)
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])
