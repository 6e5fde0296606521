"""One figure with its interval as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.evaluation.estimates import Estimate, Interval
from endoexit.evaluation.figures import (
    change,
    cost_in_words,
    percent_with_interval,
    points_with_interval,
    probability,
    significant,
    with_interval,
)


def estimate(value, low=None, high=None):
    interval = None if low is None else Interval(low=low, high=high, method="made up")
    return Estimate(value=value, interval=interval)


@pytest.mark.parametrize(
    ("figure", "plain", "percent", "points"),
    [
        (estimate(0.7868, 0.7282, 0.84), "0.787 [0.728, 0.840]", "78.7 [72.8, 84.0]",
         "+78.7 [+72.8, +84.0]"),
        (estimate(-0.021, -0.04, 0.00412), "-0.0210 [-0.0400, 0.00412]", "-2.1 [-4.0, 0.4]",
         "-2.1 [-4.0, +0.4]"),
        (estimate(-0.0002, -0.0004, 0.0), "-0.000200 [-0.000400, 0]",
         "0.0 [0.0, 0.0]", "+0.0 [+0.0, +0.0]"),
        (estimate(0.5), "0.500", "50.0", "+50.0"),
        (estimate(None), "–", "–", "–"),
        (None, "–", "–", "–"),
    ],
    ids=["an interval", "negative", "rounds to zero", "no interval", "no value", "nothing"],
)  # fmt: skip
def test_a_figure_is_followed_by_its_interval(figure, plain, percent, points):
    assert with_interval(figure) == plain
    assert percent_with_interval(figure) == percent
    assert points_with_interval(figure) == points


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


def test_a_change_has_both_numbers_where_there_are_two():
    assert change((0.353, 0.00412)) == "0.353 → 0.00412"
    assert change((0.353, None)) == "0.353"
    assert change((None, None)) == "–"


@pytest.mark.parametrize(("value", "text"), [(0.9734, "0.973"), (3e-9, "0.000"), (None, "–")])
def test_probabilities_have_three_decimals(value, text):
    assert probability(value) == text


def test_a_cost_has_its_unit_and_its_share():
    assert cost_in_words(1.234e8, 4e8, "macs") == "0.123 G multiply-adds, 31% of the whole network"
    assert cost_in_words(12.34, 20, "ms") == "12.3 ms, 62% of the whole network"
