"""BranchyNet screening: every combination of thresholds, vectorised, only the front is kept."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError

MAX_COMBINATIONS = 4_000_000
DEFAULT_CANDIDATES = 40
CELLS_PER_CHUNK = 2**22

Scores = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Screened:
    """Combinations that no cheaper one beats, cheapest first.

    Attributes:
        choices: (F, M − 1) which candidate of each exit.
        costs: (F,) mean cost of an image.
        scores: (F,) strictly rising.
    """

    choices: NDArray[np.int64]
    costs: NDArray[np.float64]
    scores: NDArray[np.float64]


def pareto_front(costs: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of points that beat the score of every cheaper one, cheapest first.

    Among equals the first given is kept (BranchyNet's screening, Teerapittayanon et al. 2016).
    """
    order = np.lexsort((-scores, costs))
    ranked = scores[order]
    best_before = np.concatenate(([-np.inf], np.maximum.accumulate(ranked)[:-1]))
    return np.asarray(order[ranked > best_before])


def candidates_per_exit(num_exits: int, wanted: int | None) -> int:
    """Return how many candidates each early exit gets.

    Raises:
        PolicyError: Fewer than two, or more combinations than can be screened.
    """
    early = num_exits - 1
    most = int(MAX_COMBINATIONS ** (1 / early) + 1e-9)
    if wanted is None:
        return min(DEFAULT_CANDIDATES, most)
    if wanted < 2:
        raise PolicyError(f"{wanted} candidates per exit leave nothing to choose: ask for 2+.")
    if wanted > most:
        raise PolicyError(
            f"{wanted} candidates at each of {early} early exits are {wanted**early:.3g} "
            f"combinations; at most {most} candidates per exit can be screened. Ask for fewer, "
            "or use one shared threshold."
        )
    return wanted


def candidate_thresholds(values: NDArray[np.float64], count: int) -> tuple[float | None, ...]:
    """Return candidates from "no image exits" (None) down to "every image exits" (0).

    The others are quantiles of the observed confidences, each an observed value, so that there
    are `count` in all, or fewer where confidences are tied.
    """
    levels = np.arange(1, count - 1) / (count - 1)
    quantiles = np.quantile(values, levels, method="higher") if len(levels) else levels
    inner = sorted({float(value) for value in quantiles if value > 0.0}, reverse=True)
    return (None, *inner, 0.0)


def screen(
    leaving: Sequence[NDArray[np.bool_]],
    values: NDArray[np.float32],
    costs: NDArray[np.float64],
    score: Scores,
) -> Screened:
    """Score every combination of candidates and keep the front.

    Sums run as float32 matrix products and are exact, because the values are small whole
    numbers. Memory stays under about 100 MB whatever the number of combinations.

    Args:
        leaving: Masks (K_k, N), one for each of the M − 1 early exits: the images that exit there
            by candidate j.
        values: (R, M, N) whole numbers: what image n adds to total r when it exits at exit k.
        costs: (M,) cost of each exit.
        score: Function from totals (R, ...) over the images to what is kept high (...).
    """
    fronts = [_front_of(*chunk, score) for chunk in _chunks(leaving, values, costs)]
    choices = np.concatenate([part.choices for part in fronts])
    all_costs = np.concatenate([part.costs for part in fronts])
    all_scores = np.concatenate([part.scores for part in fronts])
    front = pareto_front(all_costs, all_scores)
    return Screened(choices[front], all_costs[front], all_scores[front])


def _front_of(
    choices: NDArray[np.int64],
    costs: NDArray[np.float64],
    totals: NDArray[np.float64],
    score: Scores,
) -> Screened:
    """Return the front of one chunk: prefix choices (r, M − 2), costs (r, K), totals (R, r, K)."""
    scores = score(totals)
    front = pareto_front(costs.ravel(), scores.ravel())
    row, last = np.unravel_index(front, costs.shape)
    return Screened(np.column_stack([choices[row], last]), costs[row, last], scores[row, last])


def _chunks(
    leaving: Sequence[NDArray[np.bool_]],
    values: NDArray[np.float32],
    costs: NDArray[np.float64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Yield choices of all exits but the last early one, with costs and totals for each of its.

    The last early exit is a matrix product: (images still inside) × (images that exit under each
    candidate).
    """
    images = values.shape[2]
    *earlier, last = (mask.astype(np.float32) for mask in leaving)
    shape = tuple(len(mask) for mask in earlier)
    combinations = math.prod(shape)
    rows = max(1, CELLS_PER_CHUNK // images)
    # What each image adds when the last early exit takes it instead of the final one, (R, N).
    gain = values[:, -2] - values[:, -1]
    for start in range(0, combinations, rows):
        flat = np.arange(start, min(start + rows, combinations))
        choices = np.asarray(np.unravel_index(flat, shape) if shape else np.empty((0, 1)), int)
        inside = np.ones((len(flat), images), dtype=np.float32)
        spent = np.zeros(len(flat))
        totals = np.zeros((len(values), len(flat)))
        for number, mask in enumerate(earlier):
            gone = inside * mask[choices[number]]
            spent += costs[number] * gone.sum(axis=1)
            totals += values[:, number] @ gone.T
            inside -= gone
        taken = (inside @ last.T).astype(np.float64)
        left = inside.sum(axis=1, dtype=np.float64)[:, None] - taken
        cost = (spent[:, None] + costs[-2] * taken + costs[-1] * left) / images
        at_end = totals + values[:, -1] @ inside.T
        moved = np.stack([inside @ (row * last).T for row in gain])
        yield choices.T, cost, at_end[:, :, None] + moved
