"""Policies on the runs of `strategies.py`: what they cost and lose, by thresholds and by gates."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.evaluation.fitting import CalibrationOptions, exit_costs, find_run_policy
from endoexit.policy.goal_options import make_goal
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.base import RuleKind
from endoexit.policy.table import outcome
from endoexit.runtime.session import Session
from gates import KINDS, SAMPLES, certify_images, compared
from tables import markdown_table

DROPS = (0.005, 0.01)
GIVEN_UP = DROPS[-1]  # where gates are compared
PLAIN = KINDS[0]


def measure_policies(session: Session) -> dict[str, Any]:
    """Return the accuracy of each exit on test, and what policies cost and give up there."""
    test = session.logits("test").as_set()
    rules = {}
    for kind in KINDS:
        exits, point = _seen(session, GIVEN_UP, kind)
        rules[kind] = {**point, "certify_images": certify_images(test, exits, 0)}
    return {
        "accuracy": [float(share) for share in test.correct.mean(axis=1)],
        "policies": [{"drop": drop, **_seen(session, drop, PLAIN)[1]} for drop in DROPS],
        "rules": rules,
    }


def _seen(
    session: Session, drop: float, kind: RuleKind
) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Return where images of test exit under the cheapest policy that gives up so much.

    The other figures are its cost, as a share of the whole network's, and the accuracy that it wins
    against the final exit. A goal that no policy meets sends every image to the final exit.
    """
    test, costs = session.logits("test").as_set(), exit_costs(session, "macs").values
    options = CalibrationOptions(rules=RuleOptions(rule=kind))
    policy = find_run_policy(session, make_goal(max_accuracy_drop=drop), options).policy
    exits = policy.assign(test.logits)
    shown = outcome(test, exits, costs)
    gap = shown.accuracy - test.final_accuracy
    return exits, {"cost": shown.cost / costs[-1], "gap": gap}


def rules_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of rules: means over all runs of a network.

    In brackets is the difference from thresholds on the same runs, with its standard error.
    """
    lines = []
    for kind in KINDS:
        cells = []
        for key, sign in (("cost", ".1f"), ("gap", "+.1f")):
            here, plain = (
                np.array([100 * row["rules"][each][key] for row in rows]) for each in (kind, PLAIN)
            )
            cells.append(f"{here.mean():{sign}}{compared(here, plain) if len(rows) > 1 else ''}")
        counts = [row["rules"][kind]["certify_images"] or float("inf") for row in rows]
        middle = statistics.median_high(counts)
        needed = f"more than {SAMPLES[-1]}" if middle == float("inf") else f"{middle:.0f}"
        lines.append((f"`{kind}`", *cells, needed))
    return markdown_table(
        ("rule", f"cost at −{100 * GIVEN_UP:g} point", "points lost or won", "certify images"),
        lines,
    )
