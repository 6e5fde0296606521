import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from endoexit.errors import UsageError
from endoexit.policy.pvalues import (
    BETS,
    P_VALUES,
    betting_p_value,
    binomial_p_value,
    smallest_sample,
    trinomial_p_value,
)


def losses_of(*, ones, zeros, gains=0):
    return np.repeat([1.0, 0.0, -1.0], [ones, zeros, gains])


def test_binomial_by_hand_and_against_scipy():
    # P(Binomial(3, .5) <= 1) = (1 + 3) / 8
    assert binomial_p_value(losses_of(ones=1, zeros=2), 0.5) == pytest.approx(0.5)
    ours = binomial_p_value(losses_of(ones=4, zeros=296), 0.03)
    assert ours == pytest.approx(binomtest(4, 300, 0.03, alternative="less").pvalue)


def test_betting_is_the_capital_written_out():
    losses, tolerance = losses_of(ones=2, zeros=150, gains=5), 0.04
    capital = 0.0
    for share in BETS:
        wealth = 1.0
        for loss in losses:
            wealth *= 1.0 + share / (1.0 - tolerance) * (tolerance - loss)
        capital += wealth / len(BETS)
    assert betting_p_value(losses, tolerance) == pytest.approx(min(1.0, 1.0 / capital))


@given(st.permutations([1.0, 0.5, 0.0, 0.0, -1.0, -0.25, 0.0, 0.0]))
def test_betting_does_not_depend_on_the_order(losses):
    assert betting_p_value(np.array(losses), 0.3) == betting_p_value(np.sort(losses), 0.3)


@pytest.mark.parametrize("tolerance", [0.02, 0.1])
@pytest.mark.parametrize("p_value", [binomial_p_value, betting_p_value])
def test_exact_error_rate_at_the_tolerance_for_binary_losses(p_value, tolerance):
    """P(p <= δ) summed over all outcomes of Binomial(n, ε) is at most δ."""
    for images in (30, 100, 500):
        ones = np.arange(images + 1)
        chance = np.exp(
            [math.lgamma(images + 1) - math.lgamma(k + 1) - math.lgamma(images - k + 1)
             + k * math.log(tolerance) + (images - k) * math.log1p(-tolerance) for k in ones]
        )  # fmt: skip
        values = [p_value(losses_of(ones=k, zeros=images - k), tolerance) for k in ones]
        assert (np.diff(values) >= -1e-12).all()
        for delta in (0.01, 0.05, 0.1):
            assert chance[np.array(values) <= delta].sum() <= delta


def test_exact_error_rate_of_betting_for_losses_and_gains():
    """All outcomes of 40 images with P(loss) = .3, P(gain) = .2, so that the mean is ε = .1."""
    rejected = {0.05: 0.0, 0.1: 0.0, 0.2: 0.0}
    for ones, gains in itertools.product(range(41), repeat=2):
        zeros = 40 - ones - gains
        if zeros < 0:
            continue
        ways = math.factorial(40) / math.prod(map(math.factorial, (ones, gains, zeros)))
        chance = ways * 0.3**ones * 0.2**gains * 0.5**zeros
        value = betting_p_value(losses_of(ones=ones, zeros=zeros, gains=gains), 0.1)
        for delta in rejected:
            rejected[delta] += chance * (value <= delta)
    assert all(0 < share <= delta for delta, share in rejected.items())


def test_betting_is_much_tighter_than_hoeffding():
    losses, tolerance = losses_of(ones=4, zeros=990, gains=6), 0.02
    gap = tolerance - losses.mean()
    hoeffding = math.exp(-2 * len(losses) * (gap / 2) ** 2)
    assert betting_p_value(losses, tolerance) < 1e-3
    assert hoeffding > 0.7


@pytest.mark.parametrize("method", P_VALUES)
@pytest.mark.parametrize(("tolerance", "delta"), [(0.02, 0.05), (0.1, 0.1), (0.01, 0.05)])
def test_smallest_sample_is_the_first_that_can_pass(method, tolerance, delta):
    images = smallest_sample(tolerance, delta, method)
    assert P_VALUES[method](np.zeros(images), tolerance) <= delta
    assert P_VALUES[method](np.zeros(images - 1), tolerance) > delta


def test_smallest_sample_of_the_rule_of_three():
    assert smallest_sample(0.02, 0.05, "exact binomial") == 149  # ln .05 / ln .98 = 148.3


def test_no_number_of_images_proves_what_the_interval_of_gains_leaves_open():
    with pytest.raises(UsageError, match=r"delta of more than 1e-06, not with 1e-07: ask for a"):
        smallest_sample(0.1, 1e-7, "exact trinomial")
    assert trinomial_p_value(np.zeros(smallest_sample(0.1, 2e-6, "exact trinomial")), 0.1) <= 2e-6
