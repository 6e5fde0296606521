"""Policies on the runs of `strategies.py`: what they cost and lose, by thresholds and by gates."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import sem

from endoexit.evaluation.fitting import CalibrationOptions, exit_costs, find_run_policy
from endoexit.policy.goal_options import make_goal
from endoexit.policy.held_out import accuracy_front
from endoexit.policy.options import RuleOptions
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.rules.base import RuleKind
from endoexit.policy.table import ExitTable, outcome
from endoexit.runtime.session import Session
from gates import KINDS, SAMPLES, certify_images, compared
from tables import markdown_table

DROPS = (0.005, 0.01)
GIVEN_UP = DROPS[-1]  # where gates are compared
PLAIN = KINDS[0]


def measure_policies(session: Session) -> dict[str, Any]:
    """Return the accuracy of each exit on test, and what policies cost and give up there.

    `macs` is the number of multiply-adds of an image that takes the whole network.
    """
    test = session.logits("test").as_set()
    policies, rules = [], {}
    for drop in DROPS:
        policy = _policy(session, drop, PLAIN)
        least = _least(session, drop, policy.temperatures)
        policies.append({"drop": drop, **_shown(session, policy), "least": least})
    for kind in KINDS:
        policy = _policy(session, GIVEN_UP, kind)
        needed = certify_images(test, policy.assign(test.logits), 0)
        rules[kind] = {**_shown(session, policy), "certify_images": needed}
    return {
        "accuracy": [float(share) for share in test.correct.mean(axis=1)],
        "macs": exit_costs(session, "macs").values[-1],
        "policies": policies,
        "rules": rules,
    }


def _policy(session: Session, drop: float, kind: RuleKind) -> ExitPolicy:
    """Return the cheapest policy that gives up so much; none sends all images to the final exit."""
    options = CalibrationOptions(rules=RuleOptions(rule=kind))
    return find_run_policy(session, make_goal(max_accuracy_drop=drop), options).policy


def _shown(session: Session, policy: ExitPolicy) -> dict[str, float]:
    """Return the cost on test, a share of the whole network's, and the accuracy that is won.

    The accuracy is compared with that of the final exit.
    """
    test, costs = session.logits("test").as_set(), exit_costs(session, "macs").values
    shown = outcome(test, policy.assign(test.logits), costs)
    return {"cost": shown.cost / costs[-1], "gap": shown.accuracy - test.final_accuracy}


def _least(session: Session, drop: float, temperatures: tuple[float, ...]) -> float:
    """Return the cost, as a share, of the cheapest thresholds on test that give up so much there.

    They are chosen with the answers of test known, as no policy may be: a bound for those that are
    chosen on calibrate.
    """
    test, costs = session.logits("test").as_set(), exit_costs(session, "macs").values
    front = accuracy_front(ExitTable(test, temperatures, costs), RuleOptions(rule=PLAIN))
    floor = test.final_accuracy - drop - 1e-12
    return min(point.cost for point in front if point.score >= floor) / costs[-1]


def rules_sentence(rows: Sequence[dict[str, Any]]) -> str:
    """Say which gates cost less than thresholds by more than twice the standard error."""
    cheaper = []
    for kind in KINDS:
        costs = [100 * (row["rules"][kind]["cost"] - row["rules"][PLAIN]["cost"]) for row in rows]
        if len(costs) > 1:
            mean = statistics.fmean(costs)
            if mean + 2 * sem(costs) < 0:
                cheaper.append(f"`{kind}` ({mean:+.1f} points)")
    return (
        f"Gates that cost less than `{PLAIN}` by more than twice the standard error: "
        f"{', '.join(cheaper) or 'none'}."
    )


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
