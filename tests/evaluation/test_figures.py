"""One figure with its interval as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.evaluation.document import Estimate, Interval
from endoexit.evaluation.figures import (
    percent_with_interval,
    points_with_interval,
    significant,
    with_interval,
)


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.353, "0.353"), (0.00412, "0.00412"), (0.0812, "0.0812"), (1.234, "1.23"),
        (9.996, "10.0"), (56.78, "56.8"), (99.96, "100"), (517.3, "517"), (1234.4, "1234"),
        (0.9996, "1.00"), (0, "0"), (-0.0412, "-0.0412"),
    ],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value, text):
    assert significant(value) == text


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_a_number_as_text_is_within_half_a_unit_of_its_third_digit(value):
    text = significant(value)
    assert "e" not in text
    unit = 10 ** (math.floor(math.log10(float(f"{value:.3g}"))) - 2)
    assert abs(float(text) - value) <= 0.5 * min(unit, 1 if value >= 1000 else unit) * 1.001
    assert len(text.replace(".", "").lstrip("0")) >= 3
