"""p-values of the hypothesis "the risk is above ε", valid for every sample size."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import binom

from endoexit.errors import UsageError
from endoexit.policy.goals import Method
from endoexit.policy.trinomial import LEAST_P_VALUE, trinomial_p_value

# Constant bets, as shares of the largest that cannot lose everything.
BETS = (np.arange(64) + 0.5) / 64


def binomial_p_value(losses: NDArray[np.float64], tolerance: float) -> float:
    """Return P(Binomial(n, ε) ≤ Σ losses), exact for losses that are 0 or 1.

    Args:
        losses: (n,) independent, each 0 or 1.
        tolerance: ε.
    """
    return float(binom.cdf(round(float(losses.sum())), len(losses), tolerance))


def betting_p_value(losses: NDArray[np.float64], tolerance: float) -> float:
    """Return a p-value for losses in [−1, 1] by betting against "mean > ε".

    The capital Π_i (1 + b (ε − L_i)) of a gambler who bets b ∈ [0, 1 / (1 − ε)] on small losses
    is a nonnegative supermartingale under the hypothesis, and so is the mean over many b. By
    Markov's inequality its inverse is a p-value. This is the diversified Kelly bettor of
    Waudby-Smith and Ramdas (2024, "Estimating means of bounded random variables by betting"),
    for losses rescaled to [0, 1]; it adapts to the variance, and does not depend on the order of
    the images.

    Args:
        losses: (n,) independent, in [−1, 1].
        tolerance: ε.
    """
    values, counts = np.unique(losses, return_counts=True)
    bets = BETS / (1.0 - tolerance)
    growth = np.log1p(bets[:, None] * (tolerance - values)) @ counts
    capital = float(logsumexp(growth) - math.log(len(bets)))
    return math.exp(-max(capital, 0.0))


P_VALUES: dict[Method, Callable[[NDArray[np.float64], float], float]] = {
    "exact binomial": binomial_p_value,
    "exact trinomial": trinomial_p_value,
    "betting": betting_p_value,
}


def smallest_sample(tolerance: float, delta: float, method: Method) -> int:
    """Return how many images without a single loss it takes for a p-value of at most δ.

    Raises:
        UsageError: No number of images proves so much.
    """
    if method == "exact binomial":
        return math.ceil(math.log(delta) / math.log1p(-tolerance) - 1e-12)

    if method == "exact trinomial" and delta <= LEAST_P_VALUE:
        raise UsageError(
            f"accuracy_loss can be promised with a delta of more than {LEAST_P_VALUE:.2g}, not "
            f"with {delta:g}: ask for a larger delta."
        )

    def enough(images: int) -> bool:
        return P_VALUES[method](np.zeros(images), tolerance) <= delta

    high = 1
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
