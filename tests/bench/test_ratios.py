"""Ratios from times that are given: by formula, round by round."""

import numpy as np
import pytest

from endoexit.bench.ratios import mixed, mixed_quantiles, ratio, spread


def test_a_spread_is_the_median_and_the_quartiles():
    quartiles = spread([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (quartiles.low, quartiles.median, quartiles.high) == (2, 3, 4)


def test_a_ratio_is_the_median_of_ratios_not_the_ratio_of_medians():
    # The machine halts in rounds 2 and 3: both contenders take ten times as long, or one of them.
    times = {"a": [1.0, 10.0, 1.0, 1.0, 1.2], "b": [2.0, 20.0, 20.0, 2.5, 2.0]}
    compared = ratio(times, "a", "b")
    rounds = sorted([0.5, 0.5, 0.05, 0.4, 0.6])
    assert (compared.name, compared.to) == ("a", "b")
    assert compared.median == pytest.approx(rounds[2])
    assert (compared.low, compared.high) == pytest.approx((rounds[1], rounds[3]))
    assert ratio(times, "b", "b").model_dump(exclude={"name", "to"}) == {
        "median": 1, "low": 1, "high": 1
    }  # fmt: skip


def test_rounds_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="could not be broadcast"):
        ratio({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}, "a", "b")


def test_the_policy_takes_the_mean_over_the_images_in_each_round():
    times = {1: [10.0, 20.0], 4: [40.0, 60.0]}
    np.testing.assert_allclose(mixed(times, {1: 3, 4: 1}), [17.5, 30.0])


def test_quantiles_weigh_each_exit_by_its_images():
    times = {1: [1.0, 2.0], 4: [10.0, 20.0, 30.0, 40.0]}
    counts = {1: 8, 4: 2}  # so 40 % of the weight are at 1 ms, 40 % at 2 ms, 5 % at each other
    assert mixed_quantiles(times, counts, (0.2, 0.5, 0.84, 0.95, 1.0)) == [1, 2, 10, 30, 40]
    many = np.repeat([1.0, 2.0, 10.0, 20.0, 30.0, 40.0], [8, 8, 1, 1, 1, 1])
    for level in (0.05, 0.33, 0.62, 0.83, 0.97):
        expected = np.quantile(many, level, method="inverted_cdf")
        assert mixed_quantiles(times, counts, (level,)) == [expected]
