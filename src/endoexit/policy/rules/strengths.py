"""Strengths of gates: the exits that follow from thresholds on them, and which are tried."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.screening import Scores, screen
from endoexit.policy.table import ExitTable

# A threshold that every image reaches.
OPEN = -1e9
# Fewer combinations than for a confidence, because they are tried for each setting of a gate.
# With so many exits that three thresholds at each would not fit, none are tried.
_MOST_CANDIDATES, _COMBINATIONS, _LEAST_CANDIDATES = 40, 20_000, 3


def reaching(strengths: NDArray[np.float64], threshold: float | None) -> NDArray[np.bool_]:
    """Return which strengths (N,) reach a threshold: none reach None, all reach `OPEN`."""
    if threshold is None or threshold == OPEN:
        return np.full(len(strengths), threshold is not None)
    return np.asarray(strengths >= threshold)


def exits_by(
    strengths: NDArray[np.float64], thresholds: Sequence[float | None]
) -> NDArray[np.int64]:
    """Return the exit (N,), 1 to M, of each image, from its strengths (M − 1, N)."""
    exits = np.full(strengths.shape[1], len(strengths) + 1, dtype=np.int64)
    for row in reversed(range(len(strengths))):
        exits[reaching(strengths[row], thresholds[row])] = row + 1
    return exits


def screened_thresholds(
    strengths: NDArray[np.float64],
    table: ExitTable,
    values: NDArray[np.float32],
    score: Scores,
) -> Iterator[tuple[float | None, ...]]:
    """Yield thresholds that no cheaper ones beat, of all combinations of quantiles.

    Args:
        strengths: Strengths (M − 1, N) of the early exits.
        table: The cohort.
        values: Whole numbers (R, M, N): what image n adds to total r when it exits at exit k.
        score: Function of totals (R, ...) that returns what to keep high (...).
    """
    count = min(_MOST_CANDIDATES, int(_COMBINATIONS ** (1.0 / len(strengths)) + 1e-9))
    if count < _LEAST_CANDIDATES:
        return
    levels = np.arange(1, count - 1) / (count - 1)
    lists: list[tuple[float | None, ...]] = []
    for row in strengths:
        inner = np.unique(np.quantile(row, levels, method="higher"))[::-1]
        lists.append((None, *inner.tolist(), OPEN))
    masks = [
        np.stack([reaching(row, threshold) for threshold in thresholds])
        for row, thresholds in zip(strengths, lists, strict=True)
    ]
    screened = screen(masks, values, np.asarray(table.costs), score)
    for choice in screened.choices:
        yield tuple(lists[row][place] for row, place in enumerate(choice))
