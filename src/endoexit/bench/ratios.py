"""Ratios taken round by round, and how far they spread."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoexit.bench.document import Ratio, Spread

Times = Mapping[str, Sequence[float]]
"""Milliseconds of each contender; entry i of all is one round (see `take_turns`)."""


def spread(values: ArrayLike) -> Spread:
    """Return the median and the quartiles of values, one of each round."""
    low, middle, high = np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.5, 0.75])
    return Spread(median=middle, low=low, high=high)


def ratio(times: Times, name: str, to: str) -> Ratio:
    """Return the time of one contender divided by that of another in the same round.

    Args:
        times: Times of all contenders.
        name: Contender whose time is divided.
        to: Contender whose time it is divided by.
    """
    return ratio_of(name, times[name], to, times[to])


def ratio_of(name: str, values: ArrayLike, to: str, to_values: ArrayLike) -> Ratio:
    """Return the ratio of two lists of the same rounds; see `ratio`."""
    ratios = spread(np.asarray(values, dtype=np.float64) / np.asarray(to_values, dtype=np.float64))
    return Ratio(name=name, to=to, median=ratios.median, low=ratios.low, high=ratios.high)


def mixed(times: Mapping[int, Sequence[float]], counts: Mapping[int, int]) -> NDArray[np.float64]:
    """Return the mean time of an image in each round.

    Args:
        times: Milliseconds of each round, by the exit of the image.
        counts: Number of images that exit at each exit.
    """
    total = sum(counts.values())
    parts = [np.asarray(times[number]) * counts[number] / total for number in counts]
    means: NDArray[np.float64] = np.sum(parts, axis=0)
    return means


def mixed_quantiles(
    times: Mapping[int, Sequence[float]], counts: Mapping[int, int], levels: Sequence[float]
) -> list[float]:
    """Return quantiles of the time of an image, each exit weighed by the images that exit there.

    Args:
        times: Milliseconds of each round, by the exit of the image.
        counts: Number of images that exit at each exit.
        levels: Levels in [0, 1], such as 0.95.
    """
    values = np.concatenate([np.asarray(times[number]) for number in counts])
    weights = np.concatenate(
        [np.full(len(times[number]), counts[number] / len(times[number])) for number in counts]
    )
    # A sum of weights may end just below a level that it should reach.
    below = np.clip(np.asarray(levels) - 1e-12, 0.0, 1.0)
    quantiles = np.quantile(values, below, method="inverted_cdf", weights=weights)
    return [float(value) for value in quantiles]
