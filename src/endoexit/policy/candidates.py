"""Families of policies behind one interface: which are tried, and the front that stays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import UsageError
from endoexit.policy.budget import geometric_policies
from endoexit.policy.confidence import CONFIDENCES
from endoexit.policy.policy import ExitPolicy, Rule, fixed_exit, patience_policy
from endoexit.policy.screening import (
    DEFAULT_CANDIDATES,
    Scores,
    candidate_thresholds,
    candidates_per_exit,
    pareto_front,
    screen,
)
from endoexit.policy.table import ExitTable

ThresholdFamily = Literal["per-exit", "shared", "geometric"]


@dataclass(frozen=True)
class RuleOptions:
    """Which policies are tried.

    Attributes:
        rule: the kind of decision.
        thresholds: for the confidence rules: candidates for each exit and every combination of
            them ("per-exit"), one threshold for all exits ("shared"), or those of MSDNet's
            geometric exit distributions ("geometric"). None takes "per-exit", and "geometric" for
            a budget.
        candidates: thresholds tried per exit (or shared); None takes 40, or as many as can be
            screened when there are many exits.
        temperature_scaling: fit a temperature per exit on calibrate; otherwise T = 1.
    """

    rule: Rule = "max_probability"
    thresholds: ThresholdFamily | None = None
    candidates: int | None = None
    temperature_scaling: bool = True

    def __post_init__(self) -> None:
        chosen = self.thresholds is not None or self.candidates is not None
        if self.rule not in CONFIDENCES and chosen:
            raise UsageError(
                f"the rule {self.rule} has no thresholds: leave the options for thresholds and "
                f"candidates out, or take one of {', '.join(CONFIDENCES)}."
            )
        if self.thresholds == "geometric" and self.candidates is not None:
            raise UsageError("geometric thresholds follow from the shares: leave candidates out.")


@dataclass(frozen=True)
class Candidate:
    """A policy on the front, with what it cost and scored on calibrate."""

    policy: ExitPolicy
    cost: float
    score: float


def front_of(
    table: ExitTable, options: RuleOptions, values: NDArray[np.float32], score: Scores
) -> list[Candidate]:
    """Try the policies of the family and return those that no cheaper one beats.

    Args:
        table: the calibrate cohort.
        options: the family; its rule is the table's.
        values: (R, M, N) whole numbers: what image n adds to total r when it leaves at exit k.
        score: takes totals (R, ...) and returns what to keep high (...).

    Returns:
        Cheapest first, scores rising.
    """
    costs = np.asarray(table.costs)
    if options.rule in CONFIDENCES and options.thresholds in (None, "per-exit"):
        count = candidates_per_exit(table.data.num_exits, options.candidates)
        lists = [candidate_thresholds(row, count) for row in table.confidences]
        leaving = [table.leaving(row, thresholds) for row, thresholds in enumerate(lists)]
        found = screen(leaving, values, costs, score)
        return [
            Candidate(
                table.policy(tuple(lists[k][j] for k, j in enumerate(choice))),
                float(cost),
                float(mark),
            )
            for choice, cost, mark in zip(found.choices, found.costs, found.scores, strict=True)
        ]
    policies = _listed(table, options)
    rows = np.arange(table.data.num_images)
    exits = [table.exits(policy) - 1 for policy in policies]
    means = np.array([costs[taken].mean() for taken in exits])
    totals = np.array([values[:, taken, rows].sum(axis=1) for taken in exits], dtype=np.float64).T
    marks = score(totals)
    front = pareto_front(means, marks)
    return [Candidate(policies[i], float(means[i]), float(marks[i])) for i in front]


def _listed(table: ExitTable, options: RuleOptions) -> list[ExitPolicy]:
    """Return the policies of a family that is small enough to list, safest first."""
    exits = table.data.num_exits
    if options.rule == "fixed":
        listed = [fixed_exit(exits, k) for k in range(exits, 0, -1)]
    elif options.rule == "patience":
        listed = [patience_policy(exits, s) for s in range(exits, 1, -1)]
    elif options.thresholds == "geometric":
        return geometric_policies(table)[::-1]
    else:
        count = candidates_per_exit(2, options.candidates or DEFAULT_CANDIDATES)
        shared = candidate_thresholds(table.confidences.ravel(), count)
        return [table.policy((threshold,) * (exits - 1)) for threshold in shared]
    return [policy.model_copy(update={"temperatures": table.temperatures}) for policy in listed]


def ladder(
    table: ExitTable, options: RuleOptions, start: Candidate, steps: int
) -> list[ExitPolicy]:
    """Return at most `steps` policies of the family that are dearer than `start`, safest first.

    A test sequence that begins with them does not end at once when the front's safest point was
    merely lucky on calibrate. With thresholds per exit, each is raised until a share
    j / (steps + 1), j = 1..steps, of the calibrate images that reach the one of `start` still
    reach it; the other families have dearer members of their own.
    """
    if options.rule in CONFIDENCES and options.thresholds in (None, "per-exit"):
        shares = np.arange(1, steps + 1) / (steps + 1)
        rows = list(zip(table.confidences, start.policy.thresholds, strict=True))
        raised = [tuple(_raised(*row, float(share)) for row in rows) for share in shares]
        return [table.policy(rung) for rung in raised if any(t is not None for t in rung)]
    dearer = []
    for policy in _listed(table, options):
        cost = table.outcome(table.exits(policy)).cost
        if cost > start.cost:
            dearer.append((cost, policy))
    dearer.sort(key=lambda pair: pair[0], reverse=True)
    places = np.unique(np.linspace(0, len(dearer) - 1, steps).round().astype(int))
    return [dearer[place][1] for place in places] if dearer else []


def _raised(values: NDArray[np.float64], threshold: float | None, share: float) -> float | None:
    if threshold is None:
        return None
    reaching = np.sort(values[values >= threshold])[::-1]
    count = int(len(reaching) * share)
    return float(reaching[count - 1]) if count else None
