"""The forecast: arithmetic on what was measured."""

import pytest
import torch

from endoexit.models.spec import NetworkSpec
from endoexit.reproduction.forecast import (
    BACKWARD,
    GPU_MACS,
    Pace,
    Work,
    forecast_lines,
    in_words,
    measure_pace,
)
from endoexit.reproduction.settings import both_networks
from endoexit.training.recipe import read_recipe
from tiny_project import write_recipe


def test_a_few_steps_are_measured_and_the_threads_left_as_they_were(tmp_path):
    recipe = read_recipe(str(write_recipe(tmp_path)))
    before = torch.get_num_threads()
    pace = measure_pace(both_networks("ee_hifuse_nano", recipe)["early"], 8, "cpu", 1)
    assert torch.get_num_threads() == before
    assert 0 < pace.seconds < 10
    assert pace.macs == NetworkSpec("ee_hifuse_nano", 8, 64, recipe.model).complexity.macs[-1]
    assert pace.device == "CPU, 1 thread"


def test_the_time_is_that_of_all_images_in_all_epochs():
    paces = [Pace(network=name, seconds=seconds, macs=macs, device="CPU, 2 threads")
             for name, seconds, macs in (("a", 0.5, 1e9), ("b", 1.0, 2e9))]  # fmt: skip
    work = [Work(network="a", images=100, epochs=10), Work(network="b", images=100, epochs=5)]
    trained, here, gpu = forecast_lines(paces, work)
    assert trained == "To train: a 10 epochs × 100 images, b 5 epochs × 100 images."
    assert f"about {in_words(100 * 10 * 0.5 + 100 * 5 * 1.0)}," in here
    macs = BACKWARD * (100 * 10 * 1e9 + 100 * 5 * 2e9)
    assert f"about {in_words(macs / GPU_MACS)} if" in gpu
    assert "assumed, not measured" in gpu


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.01, "1 s"), (40, "40 s"), (600, "10 min"), (9000, "2.5 h"), (345_600, "4.0 days")],
)
def test_times_have_the_unit_that_fits(seconds, words):
    assert in_words(seconds) == words
