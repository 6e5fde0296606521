"""From logits and a goal to a policy: fit on calibrate, prove on certify, say what holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.answers import answers_of
from endoexit.policy.choice import Chosen, choose, least_accuracy, limit_in
from endoexit.policy.confidence import CONFIDENCES, is_confidence
from endoexit.policy.coverage import Coverage, coverage
from endoexit.policy.distance import Distance
from endoexit.policy.document import Costs, FrontPoint, Request
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Anytime,
    Budget,
    CostLimit,
    Goal,
    GroupValue,
    Guarantee,
)
from endoexit.policy.guarantee import (
    LADDER_STEPS,
    Trial,
    certify_sequence,
    kept_by_construction,
    not_promised,
    require_enough,
    risk_score,
)
from endoexit.policy.held_out import accuracy_score, can_hold_out, held_out_exits
from endoexit.policy.logits import LogitSet, require_disjoint
from endoexit.policy.options import RuleOptions
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.referral import AnyUnlike, Referral, fit_unlike
from endoexit.policy.risks import LossTable, loss_table
from endoexit.policy.rules.base import Candidate
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.selective import answered_guarantee
from endoexit.policy.table import ExitTable, Outcome
from endoexit.policy.temperature import ExitCalibration, describe_calibration, fit_temperatures
from endoexit.policy.units import UnitLosses, better_value, counting, group_numbers

DEFAULT_RULE = RuleOptions()
UNPROVEN = "Met on calibrate, where it was chosen; nothing is promised for new images."
HELD_OUT = (
    "Met on calibrate by thresholds that were chosen without the image they judge; nothing is "
    "promised for new images."
)
MOST_ACCURATE = (
    "Met on calibrate, but not by thresholds that were chosen without the image they judge: this "
    "is the most accurate policy; nothing is promised for new images."
)
FELL_BACK = (
    "No policy with early exits could be proven to keep the guarantee: every image uses the final "
    "exit, which keeps it by construction."
)

FINAL_ONLY = (
    "No policy with early exits could be proven to keep the guarantee: every image uses the final "
    "exit, for which it was proven."
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
        unlike = fit_unlike(calibrate.logits, options.refer_unlike)
    if isinstance(goal, Guarantee):
        chosen = _guaranteed(goal, table, certify, classes, options, unlike=unlike)
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
    front = _points(kind.front(table, options, *accuracy_score(table)), table)
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
    candidates = RULES[options.rule].front(table, options, *accuracy_score(table))
    front, final = _points(candidates, table), table.data.final_accuracy
    is_fitted = candidates[0].crossed is not None  # a gate: its scores are held out already
    if isinstance(goal, CostLimit) or is_fitted or not can_hold_out(table.data):
        chosen = candidates[choose(goal, front, costs, final)]
        return Chosen(chosen.rule, front, note=UNPROVEN, crossed=chosen.crossed)
    exits = held_out_exits(table, options, candidates)
    accuracies = [table.outcome(taken).accuracy for taken in exits]
    place = choose(goal, front, costs, final, accuracies)
    met = accuracies[place] >= least_accuracy(goal, final)
    note = HELD_OUT if met else MOST_ACCURATE
    return Chosen(candidates[place].rule, front, note=note, crossed=exits[place])


def _guaranteed(
    goal: Guarantee,
    table: ExitTable,
    certify: LogitSet | None,
    classes: tuple[str, ...],
    options: RuleOptions,
    *,
    unlike: AnyUnlike | None,
) -> Chosen:
    if certify is None:
        raise PolicyError(
            "a guarantee needs a certify role, which nothing else has looked at: "
            "make one with `endoexit split --roles`."
        )
    require_disjoint(table.data, certify)
    if goal.max_referral is not None:
        return answered_guarantee(goal, table, certify, classes, options, unlike=unlike)
    if unlike is not None:
        raise UsageError(
            "a guarantee with referral is about the answered images: add --max-referral with a "
            "risk such as error<=0.02, or omit --refer-unlike."
        )
    counted = counting(goal.unit, certify)
    known = [loss_table(risk, table.data, classes) for risk in goal.risks]
    kind = RULES[options.rule]
    candidates = kind.front(table, options, *risk_score(known))
    rungs = kind.ladder(table, options, candidates[-1], LADDER_STEPS)
    risks = [
        UnitLosses(
            loss_table(loss.risk, certify, classes),
            counted.groups,
            "mean" if counted.groups is None else _group_value(loss, table, candidates, goal.delta),
        )
        for loss in known
    ]
    require_enough(risks, goal.delta)
    final = FixedRule(exit=table.data.num_exits)
    sequence = [*rungs, *(candidate.rule for candidate in reversed(candidates))]
    absolute = any(risk.absolute for risk in goal.risks)
    if absolute:
        sequence = [final, *sequence]  # it keeps no absolute risk by construction
    fresh = ExitTable(certify, table.temperatures, table.costs)
    certified = certify_sequence(sequence, fresh, risks, goal.delta)
    if absolute and certified.rule is None:
        raise PolicyError(not_promised(risks, final.exits(fresh), goal.delta))
    tested = [trial.p_value for trial in certified.trials[len(sequence) - len(candidates) :]]
    untested = [None] * (len(candidates) - len(tested))
    front = _points(candidates, table, [*untested, *reversed(tested)])
    rule, promises, note = certified.rule, certified.promises, None
    if rule is None or (rule.exits(table) == table.data.num_exits).all():
        rule, note = final, FINAL_ONLY if absolute else FELL_BACK
        if not absolute:
            promises = tuple(kept_by_construction(units, goal.delta) for units in risks)
    elif counted.groups is None:
        note = _dependence(certify)
    promises = tuple(promise.replaced(unit_reason=counted.reason) for promise in promises)
    crossed = next((each.crossed for each in candidates if each.rule is rule), None)
    return Chosen(rule, front, promises=promises, note=note, trials=certified.trials,
                  crossed=crossed)  # fmt: skip


def _group_value(
    known: LossTable, table: ExitTable, candidates: Sequence[Candidate], delta: float
) -> GroupValue:
    """Return the loss by which groups are tested, chosen on calibrate before certify is seen.

    The candidates that keep the tolerance there decide, or the safest if none does.
    """
    if table.data.groups is None:
        return "one image"  # without groups there is nothing to compare
    units = UnitLosses(known, group_numbers(table.data))
    exits = [candidate.exits(table) for candidate in reversed(candidates)]
    keeping = [taken for taken in exits if units.of(taken).mean() <= known.risk.tolerance]
    return better_value(units.share_between(keeping or exits[:1]), delta)


def _dependence(certify: LogitSet) -> str | None:
    """Return what a reader must know when images of one group were counted one by one."""
    if certify.groups is None:
        return None
    groups = len(np.unique(certify.groups))
    if groups == certify.num_images:
        return None
    return (
        f"The {certify.num_images} certify images come from {groups} groups and were counted as "
        "independent; if images of one group are alike, count groups instead."
    )


def _points(
    candidates: Sequence[Candidate],
    table: ExitTable,
    p_values: Sequence[float | None] | None = None,
) -> tuple[FrontPoint, ...]:
    """Return candidates with what they do on calibrate."""
    tested = p_values or [None] * len(candidates)
    points = []
    for candidate, p_value in zip(candidates, tested, strict=True):
        expected = table.outcome(candidate.exits(table))
        points.append(
            FrontPoint(
                rule=candidate.rule,
                cost=candidate.cost,
                score=candidate.score,
                accuracy=expected.accuracy,
                exit_shares=expected.exit_shares,
                p_value=p_value,
            )
        )
    return tuple(points)
