"""95 % intervals: the bootstrap over groups, and the exact binomial interval."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from endoexit.evaluation.estimates import Estimate, Interval

LEVEL = 0.95
RESAMPLES = 5000
BOOTSTRAP = "bootstrap over groups, percentiles"
EXACT_IMAGES = "exact binomial (Clopper-Pearson), images taken as independent"
EXACT_GROUPS = "exact binomial (Clopper-Pearson) over groups"
_CELLS = 2**22  # draws held in memory at once

Floats = NDArray[np.float64]


class GroupBootstrap:
    """Draws whole groups with replacement: images of one group are not independent.

    Every figure of one cohort is computed on the same draws, so that differences are paired.

    Args:
        groups: Names (N,) of the groups.
        resamples: Number of draws R.
        seed: Random seed of the draws.
    """

    def __init__(self, groups: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> None:
        names, self._member = np.unique(np.asarray(groups), return_inverse=True)
        self.num_groups = len(names)
        self.resamples = resamples
        self.seed = seed

    @functools.cached_property
    def images(self) -> Floats:
        """Number of images in each draw, (R,), as groups differ in size."""
        return self.sums(np.ones(len(self._member)))

    def sums(self, values: ArrayLike) -> Floats:
        """Return, for each draw, the sum of the values of the images drawn.

        Args:
            values: Values (N,) or (N, K).

        Returns:
            (R,) or (R, K).
        """
        each = np.asarray(values, dtype=np.float64)
        totals = np.zeros((self.num_groups, *each.shape[1:]))
        np.add.at(totals, self._member, each)
        return np.concatenate([counts @ totals for counts in self._draws()])

    def _draws(self) -> Iterator[Floats]:
        """Yield how often each group is drawn, (at most R, G), the same at every call."""
        random = np.random.default_rng(self.seed)
        equal = np.full(self.num_groups, 1 / self.num_groups)
        step = max(1, _CELLS // self.num_groups)
        for start in range(0, self.resamples, step):
            size = min(step, self.resamples - start)
            yield random.multinomial(self.num_groups, equal, size).astype(np.float64)

    def interval(self, statistics: Floats) -> Interval | None:
        """Return the percentile interval of a figure computed on every draw, (R,).

        Draws that do not define it (NaN) are left out. None where all others agree: the sample
        then says nothing about its spread.
        """
        defined = statistics[np.isfinite(statistics)]
        if len(defined) == 0:
            return None
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        return None if low == high else Interval(low=low, high=high, method=BOOTSTRAP)

    def mean(self, values: ArrayLike) -> Estimate:
        """Return the mean over the images of values (N,), such as differences, with interval."""
        each = np.asarray(values, dtype=np.float64)
        interval = self.interval(self.sums(each) / self.images)
        return estimate(float(each.mean()), interval)

    def proportion(self, hits: NDArray[Any]) -> Estimate:
        """Return the share of hits (N,), each from 0 to 1, with its interval.

        Where all images hit or all miss, every draw agrees; the exact interval with one trial
        a group takes its place then.
        """
        share = self.mean(hits)
        if share.interval is None and share.value in (0.0, 1.0):
            trials = self.num_groups
            interval = exact_interval(round(share.value * trials), trials, EXACT_GROUPS)
            return Estimate(value=share.value, interval=interval)
        return share


def estimate(value: float, interval: Interval | None) -> Estimate:
    """Return a figure with its bootstrap interval, or the reason why it has none."""
    reason = None if interval else "no interval: every draw of groups gives the same value"
    return Estimate(value=value, interval=interval, reason=reason)


def exact_interval(hits: int, trials: int, method: str = EXACT_IMAGES) -> Interval:
    """Return the exact binomial interval of `hits` in `trials` (Clopper & Pearson 1934)."""
    bounds = binomtest(hits, trials).proportion_ci(LEVEL, method="exact")
    return Interval(low=float(bounds.low), high=float(bounds.high), method=method)
