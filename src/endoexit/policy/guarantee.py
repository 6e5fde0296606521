"""Pareto testing: the cheapest policy whose risks are proven small on new images.

Angelopoulos et al., "Learn then Test" (2021); Laufer-Goldshtein et al., "Efficiently controlling
multiple risks with Pareto Testing" (ICLR 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError
from endoexit.policy.document import Promise
from endoexit.policy.goals import Unit, UnitChoice
from endoexit.policy.logits import LogitSet
from endoexit.policy.pvalues import betting_p_value, binomial_p_value, smallest_sample
from endoexit.policy.risks import LossTable, Risk
from endoexit.policy.rules.base import Rule
from endoexit.policy.screening import Scores
from endoexit.policy.table import ExitTable

# Rungs from "no image exits early" up to the front's safest point.
LADDER_STEPS = 8


@dataclass(frozen=True)
class RiskTest:
    """One risk of one policy on certify.

    Attributes:
        risk: Risk that was tested.
        images: Number of independent units (images, or groups) that the test rests on.
        observed: Mean loss.
        p_value: P-value of "risk > ε".
        method: How the p-value was computed.
    """

    risk: Risk
    images: int
    observed: float
    p_value: float
    method: Literal["exact binomial", "betting"]


@dataclass(frozen=True)
class Trial:
    """One rule of the test sequence.

    Attributes:
        rule: Rule that was tested.
        tests: One test for each risk.
        passed: Whether every p-value was at most δ.
    """

    rule: Rule
    tests: tuple[RiskTest, ...]
    passed: bool

    @property
    def p_value(self) -> float:
        """Largest p-value over the risks."""
        return max(test.p_value for test in self.tests)


@dataclass(frozen=True)
class Certified:
    """The end of a test sequence.

    Attributes:
        rule: Cheapest rule that passed, or None.
        promises: What holds for it with probability 1 − δ, all at once; empty for None.
        trials: Every rule that was tested, in order; only the last can have failed.
    """

    rule: Rule | None
    promises: tuple[Promise, ...]
    trials: tuple[Trial, ...]


def risk_score(tables: Sequence[LossTable]) -> tuple[NDArray[np.float32], Scores]:
    """Return the loss totals' table (R, M, N) and the score that orders policies by safety.

    The score is the smallest distance of a mean loss below its ε, in standard errors at ε: with
    one risk the order of the mean loss itself.
    """
    images = np.array([table.num_images for table in tables], dtype=np.float64)
    limits = np.array([table.risk.tolerance for table in tables])
    errors = np.sqrt(limits * (1.0 - limits) / images)

    def score(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = (len(tables),) + (1,) * (totals.ndim - 1)
        means = totals / images.reshape(spread)
        slack = (limits.reshape(spread) - means) / errors.reshape(spread)
        return np.asarray(slack.min(axis=0))

    return np.stack([table.losses for table in tables]), score


def measure_risk(
    table: LossTable, exits: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> RiskTest:
    """Test one risk of one assignment of images to exits.

    Args:
        table: Losses of the risk on certify.
        exits: Exit (N,) of each image, 1-based.
        groups: Group (N,) of each image as a whole number: each group then counts as one unit
            with its mean loss; None counts images.
    """
    losses = unit_losses(table, exits, groups)
    exact = table.risk.binary and groups is None
    p_value = binomial_p_value if exact else betting_p_value
    return RiskTest(
        risk=table.risk,
        images=len(losses),
        observed=float(losses.mean()),
        p_value=p_value(losses, table.risk.tolerance),
        method="exact binomial" if exact else "betting",
    )


def unit_losses(
    table: LossTable, exits: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Return the losses (n,) of the counted images, or of their groups; see `measure_risk`."""
    losses = table.of(exits)
    if groups is None:
        return losses
    _, place, sizes = np.unique(groups[table.counted], return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(place, weights=losses) / sizes)


def _units(table: LossTable, groups: NDArray[np.int64] | None) -> int:
    return table.num_images if groups is None else len(np.unique(groups[table.counted]))


def require_enough(
    tables: Sequence[LossTable], delta: float, groups: NDArray[np.int64] | None
) -> None:
    """Refuse a certify cohort on which not even zero losses would prove the risk small.

    Raises:
        PolicyError: The cohort is too small; the message says how many would do.
    """
    for table in tables:
        risk = table.risk
        have = _units(table, groups)
        unit = "images" if groups is None else "groups"
        needed = smallest_sample(risk.tolerance, delta, binary=risk.binary and groups is None)
        if have < needed:
            of_class = f" of class {risk.of_class!r}" if risk.of_class else ""
            raise PolicyError(
                f"certify has {have} {unit}{of_class}, too few to promise {risk} with "
                f"delta {delta:g}: it takes at least {needed} without a single loss, and more "
                "with some. Give certify more images, or ask for a larger tolerance or delta."
            )


@dataclass(frozen=True)
class Counting:
    """What counts as one independent draw of a cohort.

    Attributes:
        unit: An image, or a group with its mean loss.
        groups: Group (N,) of each image as a whole number; None where images count.
        reason: Reason for this unit, in words.
    """

    unit: Unit
    groups: NDArray[np.int64] | None
    reason: str


def counting(choice: UnitChoice, data: LogitSet) -> Counting:
    """Decide what counts as one draw: "auto" takes groups where one holds several images.

    Images of one group are alike, so counting them one by one overrates what they prove.

    Raises:
        PolicyError: Groups are asked for, and the cohort has none.
    """
    if choice == "group" or (choice == "auto" and data.groups is not None):
        numbers = group_numbers(data)
        groups = len(np.unique(numbers))
        if choice == "group":
            return Counting("group", numbers, "asked for")
        if groups < data.num_images:
            reason = f"the {data.num_images} {data.name} images come from {groups} groups"
            return Counting("group", numbers, reason)
        return Counting("image", None, f"no two {data.name} images are of one group")
    reason = "asked for" if choice == "image" else f"the {data.name} images have no groups"
    return Counting("image", None, reason)


def certify_sequence(
    sequence: Sequence[Rule],
    table: ExitTable,
    losses: Sequence[LossTable],
    delta: float,
    groups: NDArray[np.int64] | None = None,
) -> Certified:
    """Test rules in the given order until one fails; the last that passed is chosen.

    A rule passes when its largest p-value over the risks is at most δ. Because the order was
    fixed beforehand, the chance that the chosen rule breaks any of its risks is at most δ,
    whatever the number of rules (fixed sequence testing).

    Args:
        sequence: Rules from safest to cheapest, fixed without looking at certify.
        table: The certify cohort.
        losses: One table for each risk, on certify.
        delta: Chance that the guarantee fails, δ.
        groups: What counts as one unit; see `measure_risk`.
    """
    trials: list[Trial] = []
    for rule in sequence:
        exits = rule.exits(table)
        tests = tuple(measure_risk(risk, exits, groups) for risk in losses)
        passed = max(test.p_value for test in tests) <= delta
        trials.append(Trial(rule, tests, passed))
        if not passed:
            break
    chosen = [trial for trial in trials if trial.passed]
    if not chosen:
        return Certified(None, (), tuple(trials))
    last = chosen[-1]
    promises = tuple(
        Promise(
            risk=test.risk,
            delta=delta,
            images=test.images,
            unit="image" if groups is None else "group",
            observed=test.observed,
            p_value=test.p_value,
            method=test.method,
        )
        for test in last.tests
    )
    return Certified(last.rule, promises, tuple(trials))


def kept_by_construction(
    table: LossTable, delta: float, groups: NDArray[np.int64] | None = None
) -> Promise:
    """Return the promise of the final exit, whose losses against itself are zero."""
    return Promise(
        risk=table.risk,
        delta=delta,
        images=_units(table, groups),
        unit="image" if groups is None else "group",
        observed=0.0,
        p_value=0.0,
        method="by construction",
    )


def group_numbers(data: LogitSet) -> NDArray[np.int64]:
    """Return the group of each image (N,) as a whole number.

    Raises:
        PolicyError: The cohort has no groups.
    """
    if data.groups is None:
        raise PolicyError(
            f"a guarantee per group needs the groups of the {data.name} images: "
            "give them, or count images."
        )
    return np.asarray(np.unique(data.groups, return_inverse=True)[1], dtype=np.int64)
