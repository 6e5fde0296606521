"""What the points of a front do to images that had no say in them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.folds import parts
from endoexit.policy.guarantee import LADDER_STEPS
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.base import Candidate, Rule
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.screening import Scores
from endoexit.policy.table import ExitTable


def accuracy_score(table: ExitTable) -> tuple[NDArray[np.float32], Scores]:
    """Return the table of right answers (1, M, N) and the score "accuracy"."""
    right = table.data.correct.astype(np.float32)[None]
    return right, lambda totals: np.asarray(totals[0] / table.data.num_images)


def accuracy_front(table: ExitTable, options: RuleOptions) -> list[Candidate]:
    """Return the front of cost and accuracy, cheapest first."""
    return RULES[options.rule].front(table, options, *accuracy_score(table))


def safer_rules(table: ExitTable, options: RuleOptions, front: Sequence[Candidate]) -> list[Rule]:
    """Return rules that cost more than those of a front, cheapest first."""
    return RULES[options.rule].ladder(table, options, front[-1], LADDER_STEPS)[::-1]


def held_out_exits(
    table: ExitTable,
    options: RuleOptions,
    front: Sequence[Candidate],
    safer: Sequence[Rule],
) -> NDArray[np.int64]:
    """Return the exit (P, N) of each image, for each of the P points of a front and safer rules.

    The thresholds of a point were chosen because they are good on these images, so its accuracy on
    them is too high. Here each image meets thresholds that were chosen without it and its group.
    For a point of the front, it is the cheapest point of the front of the other four fifths that
    loses no more against the final exit there than the point loses on all images. For the j-th
    safer rule, it is their j-th safer rule.

    Args:
        table: The calibrate cohort.
        options: Which rules are tried.
        front: Points of the cohort; see `accuracy_front`.
        safer: Rules of the cohort; see `safer_rules`.
    """
    drops = table.data.final_accuracy - np.array([point.score for point in front])
    exits = np.empty((len(front) + len(safer), table.data.num_images), dtype=np.int64)
    for _, looking, inside, outside in parts(table):
        points = accuracy_front(inside, options)
        rungs = safer_rules(inside, options, points)
        scores = np.array([point.score for point in points])
        least = inside.data.final_accuracy - drops - 1e-12
        chosen = np.minimum(np.searchsorted(scores, least), len(points) - 1)
        rules = [points[place].rule for place in chosen]
        last: Rule = rungs[-1] if rungs else FixedRule(exit=table.data.num_exits)
        rules += [rungs[place] if place < len(rungs) else last for place in range(len(safer))]
        taken = {id(rule): rule.exits(outside) for rule in rules}
        exits[:, looking] = [taken[id(rule)] for rule in rules]
    return exits
