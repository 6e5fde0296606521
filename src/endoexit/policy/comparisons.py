"""What a policy is measured against: the oracle above it, the random assignment below it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.logits import LogitSet
from endoexit.policy.table import Outcome, outcome


def oracle_exits(data: LogitSet) -> NDArray[np.int64]:
    """Return the first exit (1-based) that is right for each image.

    If none is right the image exits at exit 1: later exits gain nothing.
    """
    return np.asarray(data.correct.argmax(axis=0) + 1, dtype=np.int64)


def oracle(data: LogitSet, costs: tuple[float, ...]) -> Outcome:
    """Return what the oracle reaches: no policy on these exits is better and cheaper."""
    return outcome(data, oracle_exits(data), costs)


def random_right(data: LogitSet, exits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,) how likely each image is answered right when the same shares exit at random."""
    counts = np.bincount(exits - 1, minlength=data.num_exits)
    return np.asarray(counts @ data.correct / data.num_images)


def random_assignment(
    data: LogitSet, exits: NDArray[np.int64], costs: tuple[float, ...]
) -> Outcome:
    """Return what is expected when the same shares exit at each exit, but at random.

    The expectation is exact: accuracy is Σ_k share_k · accuracy_k. A policy that does no better
    does not tell easy images from hard ones.
    """
    accuracy = float(random_right(data, exits).mean())
    return replace(outcome(data, exits, costs), accuracy=accuracy)
