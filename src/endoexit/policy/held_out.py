"""What the points of a front do to images that had no say in them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.folds import FOLDS, LEAST_IMAGES, splits, subset
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.base import Candidate
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.screening import Scores
from endoexit.policy.table import ExitTable


def accuracy_score(table: ExitTable) -> tuple[NDArray[np.float32], Scores]:
    """Return the table of right answers (1, M, N) and the score "accuracy"."""
    right = table.data.correct.astype(np.float32)[None]
    return right, lambda totals: np.asarray(totals[0] / table.data.num_images)


def can_hold_out(data: LogitSet) -> bool:
    """Tell whether a cohort has enough images and groups to choose on some and look at others."""
    units = data.num_images if data.groups is None else len(np.unique(data.groups))
    return data.num_images >= LEAST_IMAGES and units >= FOLDS


def held_out_exits(
    table: ExitTable, options: RuleOptions, front: Sequence[Candidate]
) -> NDArray[np.int64]:
    """Return the exit (P, N) of each image, for each of the P points of a front.

    The thresholds of a point were chosen because they are good on these images, so its accuracy on
    them is too high. Here each image meets thresholds that were chosen without it and its group:
    of the front of the other four fifths, the cheapest that loses no more against the final exit
    there than the point loses on all images.

    Args:
        table: The calibrate cohort.
        options: Which rules are tried.
        front: Points of the cohort's front of accuracy, cheapest first.
    """
    drops = table.data.final_accuracy - np.array([point.score for point in front])
    exits = np.empty((len(front), table.data.num_images), dtype=np.int64)
    for choosing, looking in splits(table.data):
        inside, outside = (
            ExitTable(subset(table.data, mask), table.temperatures, table.costs)
            for mask in (choosing, looking)
        )
        points = RULES[options.rule].front(inside, options, *accuracy_score(inside))
        scores = np.array([point.score for point in points])
        least = inside.data.final_accuracy - drops - 1e-12
        chosen = np.minimum(np.searchsorted(scores, least), len(points) - 1)
        for place in np.unique(chosen):
            rows = np.flatnonzero(chosen == place)
            exits[np.ix_(rows, looking)] = points[place].rule.exits(outside)
    return exits
