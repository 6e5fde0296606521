"""From logits and a goal to a policy: fit on calibrate, prove on certify, say what holds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.answers import answers_of
from endoexit.policy.choice import Chosen, choose, front_points, least_accuracy, limit_in
from endoexit.policy.confidence import CONFIDENCES, is_confidence
from endoexit.policy.coverage import Coverage, coverage
from endoexit.policy.distance import Distance
from endoexit.policy.document import Costs, Request
from endoexit.policy.folds import is_enough_to_hold_out
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Anytime,
    Budget,
    CostLimit,
    Goal,
    Guarantee,
)
from endoexit.policy.guarantee import Trial
from endoexit.policy.held_out import accuracy_front, held_out_exits, safer_rules
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.proven import guaranteed
from endoexit.policy.referral import AnyUnlike, Referral, fit_unlike
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.table import ExitTable, Outcome
from endoexit.policy.temperature import ExitCalibration, describe_calibration, fit_temperatures

DEFAULT_RULE = RuleOptions()
UNPROVEN = "Met on calibrate, where it was chosen; nothing is promised for new images."
HELD_OUT = (
    "Met on calibrate by thresholds that were chosen without the image they judge; nothing is "
    "promised for new images."
)
FINAL_EXIT = (
    "No policy with early exits met it by thresholds that were chosen without the image they "
    "judge: every image uses the final exit."
)
MOST_ACCURATE = (
    "Met on calibrate, but not by thresholds that were chosen without the image they judge: this "
    "is the most accurate policy; nothing is promised for new images."
)


@dataclass(frozen=True)
class PolicyResult:
    """A policy and how it came about.

    Attributes:
        policy: Policy with its goal, costs, front and promises; what `policy.json` holds.
        expected: Figures of the policy on calibrate. For a goal of accuracy, and for gates, those
            of an image are by a choice that did not see it; others are optimistic.
        calibration: Figures of each exit before and after temperature scaling.
        trials: Test sequence on certify, for a guarantee.
        answered: What its referral does on calibrate; None for a policy without.
    """

    policy: ExitPolicy
    expected: Outcome
    calibration: tuple[ExitCalibration, ...]
    trials: tuple[Trial, ...] = ()
    answered: Coverage | None = None


def find_policy(
    goal: Goal,
    *,
    calibrate: LogitSet,
    costs: Costs,
    classes: tuple[str, ...],
    certify: LogitSet | None = None,
    options: RuleOptions = DEFAULT_RULE,
    distance: Distance | None = None,
) -> PolicyResult:
    """Find the policy for a goal.

    Temperatures and candidates come from calibrate; a guarantee is proven on certify, which
    nothing else has looked at. A goal without a guarantee promises nothing: what it met on
    calibrate need not hold elsewhere, and the note of the policy says so.

    Args:
        goal: What is asked for; see `goals.make_goal`.
        calibrate: Logits of the calibrate role.
        costs: What an image costs at each exit.
        classes: Names in the order of the logits.
        certify: Logits of the certify role; for a guarantee.
        options: Which policies are tried.
        distance: Fitted distance of features, if options ask to refer unlike images by it.

    Raises:
        PolicyError: Data, costs and goal do not fit each other; no policy meets the goal; certify
            is missing, too small, or shares groups or images with calibrate.
        UsageError: A class in the goal does not exist, an option that the goal does not take.
    """
    _require_fit(calibrate, costs, classes)
    scaling = options.temperature_scaling
    temperatures = fit_temperatures(calibrate) if scaling else (1.0,) * calibrate.num_exits
    table = ExitTable(calibrate, temperatures, costs.values)
    unlike: AnyUnlike | None = distance
    if options.refer_unlike is not None and distance is None:
        if options.unlike_by == "mahalanobis":
            raise UsageError(
                'unlike_by="mahalanobis" needs a fitted distance of features: pass it as '
                '`distance`, or take unlike_by="energy".'
            )
        unlike = fit_unlike(calibrate.logits, options.refer_unlike)
    if isinstance(goal, Guarantee):
        chosen = guaranteed(goal, table, certify, classes, options, unlike=unlike)
    elif isinstance(goal, Anytime):
        chosen = _anytime(goal, table, options)
    elif isinstance(goal, Budget):
        chosen = _budgeted(goal, table, costs, options)
    else:
        chosen = _cheapest_or_best(goal, table, costs, options)
    policy = ExitPolicy(
        rule=chosen.rule,
        num_exits=calibrate.num_exits,
        temperatures=temperatures,
        deadline_ms=chosen.deadline_ms,
        referral=chosen.referral or (Referral(unlike=unlike) if unlike else None),
        goal=str(goal),
        request=Request(goal=goal, rules=options),
        promises=chosen.promises,
        note=chosen.note,
        costs=costs,
        front=chosen.front,
    )
    exits = _expected_exits(policy, chosen, calibrate)
    if policy.deadline_ms is None:
        policy = policy.replaced(calibrated=answers_of(policy, calibrate, exits))
    ranked_by = options.rule if is_confidence(options.rule) else "max_probability"
    answered = None
    if policy.referral is not None:
        codes = policy.referred(calibrate.logits, exits, calibrate.features)
        answered = coverage(calibrate, exits, codes)
    return PolicyResult(
        policy=policy,
        expected=table.outcome(exits),
        answered=answered,
        calibration=describe_calibration(calibrate, temperatures, ranked_by),
        trials=chosen.trials,
    )


def _expected_exits(policy: ExitPolicy, chosen: Chosen, calibrate: LogitSet) -> NDArray[np.int64]:
    """Return the exit (N,) of each image of calibrate, as it is expected of new images."""
    if chosen.crossed is None:
        return policy.assign(calibrate.logits, calibrate.features)
    if policy.referral is None:
        return chosen.crossed
    first = policy.referral.first_unlike(calibrate.logits, calibrate.features)
    return np.minimum(chosen.crossed, first)


def _require_fit(calibrate: LogitSet, costs: Costs, classes: tuple[str, ...]) -> None:
    if len(costs.values) != calibrate.num_exits:
        raise PolicyError(
            f"{len(costs.values)} costs for {calibrate.num_exits} exits: give one for each."
        )
    if len(classes) != calibrate.num_classes:
        raise PolicyError(
            f"{len(classes)} class names for logits of {calibrate.num_classes} classes: "
            "give the names in the order of the logits."
        )
    if calibrate.num_exits == 1:
        raise PolicyError(
            "the network has one exit, so there is nothing to choose: use an early-exit network."
        )


def _anytime(goal: Anytime, table: ExitTable, options: RuleOptions) -> Chosen:
    asked = options.replaced(temperature_scaling=True, refer_unlike=None, unlike_by=None)
    if asked != DEFAULT_RULE:
        raise UsageError("with a deadline the clock decides: omit rule and thresholds.")
    return Chosen(FixedRule(exit=table.data.num_exits), deadline_ms=goal.deadline_ms)


def _budgeted(goal: Budget, table: ExitTable, costs: Costs, options: RuleOptions) -> Chosen:
    if not is_confidence(options.rule) or options.thresholds not in (None, "geometric"):
        raise UsageError(
            "a budget takes geometric thresholds on a confidence: omit thresholds and use "
            f"one of {', '.join(CONFIDENCES)}."
        )
    limit = limit_in(goal, costs)
    options = options.replaced(thresholds="geometric")
    kind = RULES[options.rule]
    front = front_points(accuracy_front(table, options), table)
    rules = kind.tried(table, options)[::-1]
    spent = [table.outcome(rule.exits(table)).cost for rule in rules]
    fitting = [index for index, cost in enumerate(spent) if cost <= limit]
    if not fitting:
        raise PolicyError(
            f"the budget allows {limit:.4g} for an image, but exiting at exit 1 alone costs "
            f"{min(spent):.4g}: allow more, send fewer images, or use a smaller network."
        )
    dearest = max(fitting, key=lambda index: spent[index])
    return Chosen(rules[dearest], front, note=UNPROVEN)


def _cheapest_or_best(
    goal: CostLimit | AccuracyFloor | AccuracyDrop,
    table: ExitTable,
    costs: Costs,
    options: RuleOptions,
) -> Chosen:
    candidates = accuracy_front(table, options)
    front, final = front_points(candidates, table), table.data.final_accuracy
    chosen = candidates[choose(goal, front, costs, final)]
    enough = is_enough_to_hold_out(table.data, fits=chosen.crossed is not None)
    if isinstance(goal, CostLimit) or not enough:
        return Chosen(chosen.rule, front, note=UNPROVEN, crossed=chosen.crossed)
    floor, safer = least_accuracy(goal, final), safer_rules(table, options, candidates)
    rules = [*(candidate.rule for candidate in candidates), *safer]
    held_out = held_out_exits(table, options, candidates, safer)
    for rule, exits in zip(rules, held_out, strict=True):
        seen = (rule.exits(table), exits)
        if all(table.outcome(taken).accuracy >= floor for taken in seen):
            return Chosen(rule, front, note=HELD_OUT, crossed=exits)
    if isinstance(goal, AccuracyDrop):  # the final exit loses nothing against itself
        return Chosen(FixedRule(exit=table.data.num_exits), front, note=FINAL_EXIT)
    best = len(candidates) - 1
    return Chosen(rules[best], front, note=MOST_ACCURATE, crossed=held_out[best])
