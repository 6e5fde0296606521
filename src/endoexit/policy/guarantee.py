"""Pareto testing: the cheapest policy whose risks are proven small on new images.

Angelopoulos et al., "Learn then Test" (2021); Laufer-Goldshtein et al., "Efficiently controlling
multiple risks with Pareto Testing" (ICLR 2023).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError
from endoexit.policy.document import Promise
from endoexit.policy.goals import Method
from endoexit.policy.pvalues import P_VALUES, smallest_sample
from endoexit.policy.risks import LossTable, Risk
from endoexit.policy.rules.base import Rule
from endoexit.policy.screening import Scores
from endoexit.policy.table import ExitTable
from endoexit.policy.units import UnitLosses

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
    method: Method


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
    units: UnitLosses, exits: NDArray[np.int64], answered: NDArray[np.bool_] | None = None
) -> RiskTest:
    """Test one risk of one assignment of images to exits.

    Args:
        units: Losses of the risk on certify.
        exits: Exit (N,) of each image, 1-based.
        answered: Mask (N,) of the images that the risk is a mean over; None for all.
    """
    losses, risk = units.of(exits, answered), units.table.risk
    return RiskTest(
        risk=risk,
        images=len(losses),
        observed=float(losses.mean()) if len(losses) else 0.0,
        p_value=P_VALUES[units.method](losses, risk.tolerance),
        method=units.method,
    )


def require_enough(risks: Sequence[UnitLosses], delta: float) -> None:
    """Refuse a certify cohort on which not even zero losses would prove the risk small.

    Raises:
        PolicyError: The cohort is too small; the message says how many would do.
    """
    for units in risks:
        risk = units.table.risk
        needed = smallest_sample(risk.tolerance, delta, units.method)
        if units.count < needed:
            of_class = f" of class {risk.of_class!r}" if risk.of_class else ""
            raise PolicyError(
                f"certify has {units.count} {units.unit}s{of_class}, too few to promise {risk} "
                f"with delta {delta:g}: it takes at least {needed} without a single loss, and "
                "more with some. Give certify more images, or ask for a larger tolerance or delta."
            )


def not_promised(
    risks: Sequence[UnitLosses],
    exits: NDArray[np.int64],
    delta: float,
    answered: NDArray[np.bool_] | None = None,
    most_referred: float | None = None,
) -> str:
    """Return why risks of one assignment cannot be promised, and what could be.

    What could be is proven with δ shared out among the risks: whoever asks for the bounds of this
    message, which come from certify, would otherwise get several chances of a false promise.

    Args:
        risks: Losses of each risk on certify.
        exits: Exit (N,) of each image: the final one, or that of the safest policy.
        delta: Chance that the guarantee fails, δ.
        answered: Mask (N,) of the images that are answered; None for all.
        most_referred: Largest share that may be referred, if any may.
    """
    failed = [units for units in risks if measure_risk(units, exits, answered).p_value > delta]
    which = "with the final exit" if answered is None else "among the answered images"
    seen = [units.of(exits, answered) for units in failed]
    why = [
        f"{units.table.risk.words} cannot be promised with delta {delta:g}, not even {which}: "
        f"{_shown(units, losses, delta, len(risks))}"
        for units, losses in zip(failed, seen, strict=True)
    ]
    if most_referred is not None and all(len(losses) for losses in seen):
        why.append(f"Or allow more than {most_referred:g} to be referred with --max-referral.")
    return " ".join(why)


def _shown(units: UnitLosses, losses: NDArray[np.float64], delta: float, risks: int) -> str:
    risk = units.table.risk
    if not len(losses):
        return (
            f"all {units.count} such {units.unit}s of certify are referred. Ask for a larger "
            "tolerance, or train further."
        )
    share, p_value = float(losses.mean()), P_VALUES[units.method]
    tolerances = (step / 1000 for step in range(1, 1000))
    best = next((each for each in tolerances if p_value(losses, each) <= delta / risks), None)
    could = "" if best is None else f"It could promise {risk.replaced(tolerance=best).words}. "
    more = next(
        (
            times
            for times in range(2, 101)
            if p_value(np.tile(losses, times), risk.tolerance) <= delta
        ),
        None,
    )
    images = "" if more is None else f" (about {more * len(losses)} at the share seen)"
    return (
        f"certify shows {risk.as_named(share):.2%} in {len(losses)} {units.unit}s. "
        f"{could}Give certify more images{images}, or train further."
    )


def certify_sequence(
    sequence: Sequence[Rule],
    table: ExitTable,
    risks: Sequence[UnitLosses],
    delta: float,
) -> Certified:
    """Test rules in the given order until one fails; the last that passed is chosen.

    A rule passes when its largest p-value over the risks is at most δ. Because the order was
    fixed beforehand, the chance that the chosen rule breaks any of its risks is at most δ,
    whatever the number of rules (fixed sequence testing).

    Args:
        sequence: Rules from safest to cheapest, fixed without looking at certify.
        table: The certify cohort.
        risks: Losses of each risk on certify.
        delta: Chance that the guarantee fails, δ.
    """
    trials = tested(((rule, rule.exits(table), None) for rule in sequence), risks, delta)
    chosen = [trial for trial in trials if trial.passed]
    if not chosen:
        return Certified(None, (), trials)
    last = chosen[-1]
    promises = tuple(
        promised(test, units, delta) for units, test in zip(risks, last.tests, strict=True)
    )
    return Certified(last.rule, promises, trials)


def tested(
    sequence: Iterable[tuple[Rule, NDArray[np.int64], NDArray[np.bool_] | None]],
    risks: Sequence[UnitLosses],
    delta: float,
) -> tuple[Trial, ...]:
    """Test rules on certify in the given order until one fails; only the last can have failed.

    Args:
        sequence: Rules, each with the exit (N,) of every image of certify, and a mask (N,) of those
            that are answered; None for all.
        risks: Losses of each risk on certify.
        delta: Chance that the guarantee fails, δ.
    """
    trials: list[Trial] = []
    for rule, exits, answered in sequence:
        tests = tuple(measure_risk(units, exits, answered) for units in risks)
        passed = max(test.p_value for test in tests) <= delta
        trials.append(Trial(rule, tests, passed))
        if not passed:
            break
    return tuple(trials)


def promised(test: RiskTest, units: UnitLosses, delta: float) -> Promise:
    """Return the promise of a policy that passed a test."""
    return Promise(
        risk=test.risk,
        delta=delta,
        images=test.images,
        unit=units.unit,
        group_value=units.value,
        observed=test.observed,
        p_value=test.p_value,
        method=test.method,
    )


def kept_by_construction(units: UnitLosses, delta: float) -> Promise:
    """Return the promise of the final exit, whose losses against itself are zero."""
    return Promise(
        risk=units.table.risk,
        delta=delta,
        images=units.count,
        unit=units.unit,
        observed=0.0,
        p_value=0.0,
        method="by construction",
    )
