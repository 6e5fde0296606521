"""What fitted rules are worth: cost and score of exits on a cohort, and the best of them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.rules.base import Candidate, Rule
from endoexit.policy.screening import Scores, pareto_front
from endoexit.policy.table import ExitTable


def merits_of(values: NDArray[np.float32], score: Scores) -> NDArray[np.float64]:
    """Return what image n is worth (M, N) when it exits at exit k, for what is to be kept high.

    The totals are weighted by what the score gains when every image adds one to a total, so that
    a tight risk weighs more than a loose one. The largest weight is 1 or −1: with the accuracy,
    an image is worth 1 where the answer is right.

    Args:
        values: Whole numbers (R, M, N): what image n adds to total r when it exits at exit k.
        score: Function of totals (R, ...) that returns what to keep high (...).
    """
    kinds, _, images = values.shape
    at_end = values[:, -1].sum(axis=1, dtype=np.float64)
    more = at_end[:, None] + images * np.eye(kinds)
    gains = score(more) - score(at_end)
    return np.asarray(np.tensordot(gains / np.abs(gains).max(), values.astype(np.float64), axes=1))


def judged(
    rule: Rule,
    exits: NDArray[np.int64],
    table: ExitTable,
    values: NDArray[np.float32],
    score: Scores,
) -> Candidate:
    """Return a fitted rule with the cost and the score of exits that it was not fitted on.

    Args:
        rule: Rule, fitted on the whole cohort.
        exits: Exit (N,) of each image by a rule that was fitted without it.
        table: The cohort.
        values: Whole numbers (R, M, N): what image n adds to total r when it exits at exit k.
        score: Function of totals (R, ...) that returns what to keep high (...).
    """
    images = np.arange(len(exits))
    totals = values[:, exits - 1, images].sum(axis=1, dtype=np.float64)
    cost = np.asarray(table.costs)[exits - 1].mean()
    return Candidate(rule, float(cost), float(score(totals)), exits)


def best(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that no cheaper one beats, cheapest first."""
    given = list(candidates)
    costs = np.array([candidate.cost for candidate in given])
    kept = pareto_front(costs, np.array([candidate.score for candidate in given]))
    return [given[index] for index in kept]
