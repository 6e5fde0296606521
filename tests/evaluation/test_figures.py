"""One figure with its interval as text."""

import pytest

from endoexit.evaluation.document import Estimate, Interval
from endoexit.evaluation.figures import percent_with_interval, points_with_interval, with_interval


def estimate(value, low=None, high=None):
    interval = None if low is None else Interval(low=low, high=high, method="made up")
    return Estimate(value=value, interval=interval)


@pytest.mark.parametrize(
    ("found", "plain", "percent", "points"),
    [
        (estimate(0.7868, 0.7282, 0.84), "0.787 [0.728, 0.840]", "78.7 [72.8, 84.0]",
         "+78.7 [+72.8, +84.0]"),
        (estimate(-0.021, -0.04, 0.004), "-0.021 [-0.040, 0.004]", "-2.1 [-4.0, 0.4]",
         "-2.1 [-4.0, +0.4]"),
        (estimate(-0.0002, -0.0004, 0.0), "0.000 [0.000, 0.000]",
         "0.0 [0.0, 0.0]", "+0.0 [+0.0, +0.0]"),
        (estimate(0.5), "0.500", "50.0", "+50.0"),
        (estimate(None), "–", "–", "–"),
        (None, "–", "–", "–"),
    ],
    ids=["an interval", "negative", "rounds to zero", "no interval", "no value", "nothing"],
)  # fmt: skip
def test_a_figure_is_followed_by_its_interval(found, plain, percent, points):
    assert with_interval(found, 3) == plain
    assert percent_with_interval(found) == percent
    assert points_with_interval(found) == points
