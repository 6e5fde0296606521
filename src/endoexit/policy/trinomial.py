"""The exact p-value for losses of −1, 0 and 1: gains count against losses.

Whether accuracy is lost is a question about pairs: of each image it is known whether the answer
and the final exit are right. The score statistic is that of Nam (1997, "Establishing equivalence
of two treatments and sample size requirements in matched-pairs design", Biometrics 53), its exact
unconditional p-value that of Hsueh, Liu and Chen (2001, "Unconditional exact tests for
equivalence or noninferiority for paired binary endpoints", Biometrics 57).
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, gammaln, xlog1py, xlogy
from scipy.stats import binom

# Chance that the interval for the share of gains misses it, which is added to the p-value.
MISSED = 1e-6
# Smallest p-value: a little more than that, for what the sums leave out.
LEAST_P_VALUE = 1.001 * MISSED
# Chance under which a number of gains is not looked at.
NEGLIGIBLE = 1e-12
# Width of a cell of that interval, in standard errors of the mean loss.
CELL = 0.02


def trinomial_p_value(losses: NDArray[np.float64], tolerance: float) -> float:
    """Return a p-value of "mean loss > ε" for losses of −1, 0 and 1.

    Under the hypothesis losses have the chance q + ε or more, where q is the unknown chance of a
    gain. The p-value is the largest chance, over all q up to an upper limit for it, of a score
    statistic as small as the one seen, plus the chance that the limit is wrong (Berger and Boos,
    1994). Chances are bounded from above over each cell of a grid of q, so that the p-value is
    valid, not approximate.

    Args:
        losses: (n,) independent, each −1, 0 or 1.
        tolerance: ε.
    """
    lost, gained = int((losses > 0).sum()), int((losses < 0).sum())
    return _p_value(lost, gained, len(losses), tolerance)


@functools.lru_cache(maxsize=2**16)
def _p_value(lost: int, gained: int, images: int, tolerance: float) -> float:
    largest = (1.0 - tolerance) / 2.0
    limit = largest
    if gained < images:  # the upper limit of Clopper and Pearson
        limit = min(float(betaincinv(gained + 1, images - gained, 1.0 - MISSED)), largest)
    cells = _cells(limit, images, tolerance)
    low, high = cells[:-1, None], cells[1:, None]
    # More gains than this have a chance below MISSED / 1000 wherever q is within its limit.
    most = min(int(binom.isf(MISSED / 1000, images, limit)), images)
    gains = np.arange(most + 1)
    seen = float(score(np.array(lost), np.array(gained), images, tolerance))
    losses = _most_losses(seen, gains, images, tolerance)
    # Fewer losses and more gains than anywhere in the cell: each makes a small statistic likelier.
    share = np.minimum((low + tolerance) / (1.0 - high), 1.0)
    chance = _binomial(gains, images, high)
    below = np.where(losses >= 0, 1.0, np.zeros_like(chance))
    # The rest is not worth its time, and counts as if it were certain.
    worth = (chance > NEGLIGIBLE) & (losses >= 0) & (losses < images - gains)
    cell, place = np.nonzero(worth)
    below[worth] = bdtr(losses[place], images - gains[place], share[cell, 0])
    return min(float((chance * below).sum(axis=1).max()) + LEAST_P_VALUE, 1.0)


def _binomial(
    counts: NDArray[np.int64], images: int, share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the chances (Q, K) of counts (K,) among the images for shares (Q, 1)."""
    ways = gammaln(images + 1) - gammaln(counts + 1) - gammaln(images - counts + 1)
    chances = np.exp(ways + xlogy(counts, share) + xlog1py(images - counts, -share))
    return np.asarray(chances)


def _cells(limit: float, images: int, tolerance: float) -> NDArray[np.float64]:
    """Return edges of cells from 0 to the limit, finer where the standard error is smaller."""
    # d√(ε + 2q) = dq / √(ε + 2q): equal steps of the root are equal shares of a standard error.
    ends = np.sqrt(tolerance), np.sqrt(tolerance + 2.0 * limit)
    steps = int(np.ceil((ends[1] - ends[0]) * np.sqrt(images) / CELL)) + 1
    edges = (np.linspace(*ends, steps + 1) ** 2 - tolerance) / 2.0
    edges[0], edges[-1] = 0.0, limit
    return np.asarray(edges)


def score(
    lost: NDArray[np.int64], gained: NDArray[np.int64], images: int, tolerance: float
) -> NDArray[np.float64]:
    """Return how many standard errors the mean loss is above ε, at the likeliest q.

    Args:
        lost: Numbers of losses.
        gained: Numbers of gains, of a shape that broadcasts.
        images: Number of images, n.
        tolerance: ε.
    """
    zeros = images - lost - gained
    linear = lost * (1 - tolerance) + gained * (1 - 3 * tolerance) - 2 * zeros * tolerance
    product = 8.0 * images * gained * tolerance * (1.0 - tolerance)
    root = np.sqrt(linear**2 + product)
    # The same root of the quadratic equation, without a difference of nearly equal numbers.
    share = np.where(linear > 0, linear + root, product / np.maximum(root - linear, 1e-300))
    variance = images * (share / (2.0 * images) + tolerance - tolerance**2)
    return np.asarray((lost - gained - images * tolerance) / np.sqrt(variance))


def _most_losses(
    seen: float, gains: NDArray[np.int64], images: int, tolerance: float
) -> NDArray[np.int64]:
    """Return for each number of gains the most losses whose score is at most `seen`, else −1.

    More gains never allow fewer losses: where the score should say otherwise, the larger number is
    taken, which makes the p-value larger.
    """
    low, high = np.full(len(gains), -1), images - gains + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        small = score(np.maximum(middle, 0), gains, images, tolerance) <= seen + 1e-12
        moving = high - low > 1
        low = np.where(moving & small, middle, low)
        high = np.where(moving & ~small, middle, high)
    return np.maximum.accumulate(np.minimum(low, images - gains))
