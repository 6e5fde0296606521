"""From logits and a goal to a policy: fit on calibrate, prove on certify, say what holds."""

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.budget import budgeted_policy
from endoexit.policy.candidates import Candidate, RuleOptions, front_of, ladder
from endoexit.policy.confidence import CONFIDENCES
from endoexit.policy.document import Costs, FrontPoint, Request
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Anytime,
    Budget,
    CostLimit,
    Goal,
    Guarantee,
    choose,
    goal_options,
    limit_in,
)
from endoexit.policy.guarantee import (
    LADDER_STEPS,
    Trial,
    certify_sequence,
    counting,
    kept_by_construction,
    require_enough,
    risk_score,
)
from endoexit.policy.logits import LogitSet, require_disjoint
from endoexit.policy.policy import ExitPolicy, deadline_policy, fixed_exit
from endoexit.policy.risks import loss_table
from endoexit.policy.screening import Scores
from endoexit.policy.table import ExitTable, Outcome
from endoexit.policy.temperature import ExitCalibration, describe_calibration, fit_temperatures

DEFAULT_RULE = RuleOptions()
UNPROVEN = "Met on calibrate, where it was chosen; nothing is promised for new images."
FELL_BACK = (
    "No policy that leaves early could be proven to keep the guarantee: every image goes to the "
    "final exit, which keeps it by construction."
)


@dataclass(frozen=True)
class PolicyResult:
    """A policy and how it came about.

    Attributes:
        policy: with its goal, costs, front and promises; what `policy.json` holds.
        expected: what it did on calibrate: an optimistic figure, because it was chosen there.
        calibration: each exit before and after temperature scaling.
        trials: the test sequence on certify, for a guarantee.
    """

    policy: ExitPolicy
    expected: Outcome
    calibration: tuple[ExitCalibration, ...]
    trials: tuple[Trial, ...] = ()


def find_policy(
    goal: Goal,
    *,
    calibrate: LogitSet,
    costs: Costs,
    classes: tuple[str, ...],
    certify: LogitSet | None = None,
    options: RuleOptions = DEFAULT_RULE,
) -> PolicyResult:
    """Find the policy for a goal.

    Temperatures and candidates come from calibrate; a guarantee is proven on certify, which
    nothing else has looked at. A goal without a guarantee promises nothing: what it met on
    calibrate need not hold elsewhere, and the note of the policy says so.

    Args:
        goal: see `goals.make_goal`.
        calibrate: logits of the calibrate role.
        costs: of leaving at each exit.
        classes: names in the order of the logits.
        certify: logits of the certify role; for a guarantee.
        options: which policies are tried.

    Raises:
        PolicyError: data, costs and goal do not fit each other; no policy meets the goal; certify
            is missing, too small, or shares groups or images with calibrate.
        UsageError: a class in the goal does not exist, an option that the goal does not take.
    """
    _require_fit(calibrate, costs, classes)
    scaling = options.temperature_scaling
    temperatures = fit_temperatures(calibrate) if scaling else (1.0,) * calibrate.num_exits
    table = ExitTable(calibrate, options.rule, temperatures, costs.values)
    trials: tuple[Trial, ...] = ()
    if isinstance(goal, Guarantee):
        policy, trials = _guaranteed(goal, table, certify, classes, options)
    elif isinstance(goal, Anytime):
        policy = _anytime(goal, table, options)
    elif isinstance(goal, Budget):
        policy = _budgeted(goal, table, costs, options)
    else:
        policy = _chosen(goal, table, costs, options)
    ranked = options.rule if options.rule in CONFIDENCES else "max_probability"
    asked = Request(goal=goal_options(goal), rules=asdict(options))
    return PolicyResult(
        policy=policy.model_copy(update={"goal": str(goal), "request": asked, "costs": costs}),
        expected=table.outcome(table.exits(policy)),
        calibration=describe_calibration(calibrate, temperatures, ranked),
        trials=trials,
    )


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


def _anytime(goal: Anytime, table: ExitTable, options: RuleOptions) -> ExitPolicy:
    if options != RuleOptions(temperature_scaling=options.temperature_scaling):
        raise UsageError("with a deadline the clock decides: leave rule and thresholds out.")
    policy = deadline_policy(table.data.num_exits, goal.deadline_ms)
    return policy.model_copy(update={"temperatures": table.temperatures})


def _budgeted(goal: Budget, table: ExitTable, costs: Costs, options: RuleOptions) -> ExitPolicy:
    if options.rule not in CONFIDENCES or options.thresholds not in (None, "geometric"):
        raise UsageError(
            "a budget takes geometric thresholds on a confidence: leave thresholds out and use "
            f"one of {', '.join(CONFIDENCES)}."
        )
    limit = limit_in(goal, costs)
    front = front_of(table, replace(options, thresholds="geometric"), *_accuracy(table))
    points = tuple(_point(candidate, table) for candidate in front)
    policy = budgeted_policy(table, limit)
    return policy.model_copy(update={"front": points, "note": UNPROVEN})


def _chosen(
    goal: CostLimit | AccuracyFloor | AccuracyDrop,
    table: ExitTable,
    costs: Costs,
    options: RuleOptions,
) -> ExitPolicy:
    front = front_of(table, options, *_accuracy(table))
    points = tuple(_point(candidate, table) for candidate in front)
    index = choose(goal, points, costs, table.data.final_accuracy)
    return front[index].policy.model_copy(update={"front": points, "note": UNPROVEN})


def _guaranteed(
    goal: Guarantee,
    table: ExitTable,
    certify: LogitSet | None,
    classes: tuple[str, ...],
    options: RuleOptions,
) -> tuple[ExitPolicy, tuple[Trial, ...]]:
    if certify is None:
        raise PolicyError(
            "a guarantee needs a certify role, which nothing else has looked at: "
            "make one with `endoexit split --roles`."
        )
    require_disjoint(table.data, certify)
    counted = counting(goal.unit, certify)
    groups = counted.groups
    losses = [loss_table(risk, certify, classes) for risk in goal.risks]
    require_enough(losses, goal.delta, groups)
    scored = risk_score([loss_table(risk, table.data, classes) for risk in goal.risks])
    front = front_of(table, options, *scored)
    rungs = ladder(table, options, front[-1], LADDER_STEPS)
    sequence = [*rungs, *(candidate.policy for candidate in reversed(front))]
    fresh = replace(table, data=certify)
    certified = certify_sequence(sequence, fresh, losses, goal.delta, groups)
    tested = [max(test.p_value for test in trial.tests) for trial in certified.trials]
    p_values = dict(enumerate(tested[len(rungs) :]))
    points = tuple(
        _point(candidate, table, p_values.get(len(front) - 1 - place))
        for place, candidate in enumerate(front)
    )
    policy, promises = certified.policy, certified.promises
    note = _dependence(certify) if groups is None else None
    if policy is None or (table.exits(policy) == table.data.num_exits).all():
        policy, note = fixed_exit(table.data.num_exits, table.data.num_exits), FELL_BACK
        policy = policy.model_copy(update={"temperatures": table.temperatures})
        promises = tuple(kept_by_construction(loss, goal.delta, groups) for loss in losses)
    reason = {"unit_reason": counted.reason}
    promises = tuple(promise.model_copy(update=reason) for promise in promises)
    update = {"front": points, "promises": promises, "note": note}
    return policy.model_copy(update=update), certified.trials


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


def _accuracy(table: ExitTable) -> tuple[NDArray[np.float32], Scores]:
    """Return the table of right answers (1, M, N) and the score "accuracy"."""
    right = table.data.correct.astype(np.float32)[None]
    return right, lambda totals: np.asarray(totals[0] / table.data.num_images)


def _point(candidate: Candidate, table: ExitTable, p_value: float | None = None) -> FrontPoint:
    policy = candidate.policy
    seen = table.outcome(table.exits(policy))
    return FrontPoint(
        thresholds=policy.thresholds,
        patience=policy.patience,
        exit=policy.exit,
        cost=candidate.cost,
        score=candidate.score,
        accuracy=seen.accuracy,
        exit_shares=seen.exit_shares,
        p_value=p_value,
    )
