"""From the options of a user to a goal."""

import re
from collections.abc import Sequence

from endoexit.errors import UsageError
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Anytime,
    Budget,
    CostLimit,
    Goal,
    Guarantee,
    UnitChoice,
)
from endoexit.policy.risks import parse_risk

_BUDGET = re.compile(
    r"\s*(\d+)\s*images?\s*(?:,|in)\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(?:s|seconds?)\s*"
)


def parse_budget(text: str) -> Budget:
    """Read a budget that a user typed, such as "1000 images, 60 seconds".

    Raises:
        UsageError: Not of this form.
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise UsageError(f'cannot read the budget {text!r}: write "1000 images, 60 seconds".')
    return Budget(images=int(match[1]), seconds=float(match[2]))


def make_goal(
    *,
    max_ms: float | None = None,
    max_macs: float | None = None,
    mean_exit_cost: float | None = None,
    min_accuracy: float | None = None,
    max_accuracy_drop: float | None = None,
    budget: str | None = None,
    deadline_ms: float | None = None,
    guarantee: Sequence[str] = (),
    delta: float | None = None,
    unit: UnitChoice | None = None,
    max_referral: float | None = None,
) -> Goal:
    """Return the goal that a user's options ask for; their names are those of the command line.

    Args:
        max_ms: Largest mean time of an image in milliseconds.
        max_macs: Largest mean number of multiply-adds of an image.
        mean_exit_cost: Largest mean cost as a share of the whole network.
        min_accuracy: Smallest accuracy on calibrate.
        max_accuracy_drop: Largest accuracy on calibrate that may be lost against the final exit.
        budget: Images and seconds, such as "1000 images, 60 seconds".
        deadline_ms: Milliseconds that one image may take.
        guarantee: Risks such as "disagreement<=0.02"; several hold at once.
        delta: Chance that the guarantee fails, δ; 0.05 by default.
        unit: What counts as one draw for the guarantee; "auto" by default.
        max_referral: Largest share of images that may be referred to a human, for a guarantee on
            the answered ones; by default every image is answered.

    Raises:
        UsageError: No goal or several, delta, unit or max_referral without a guarantee, a value out
            of range.
    """
    if not guarantee and (delta is not None or unit is not None):
        raise UsageError("delta and unit belong to a guarantee: add one, or omit them.")
    if not guarantee and max_referral is not None:
        raise UsageError(
            "max-referral belongs to a guarantee on the answered images: add one, such as "
            '"error<=0.02", or omit it.'
        )
    goals: dict[str, Goal] = {}
    if max_ms is not None:
        goals["max-ms"] = CostLimit(limit=max_ms, unit="ms")
    if max_macs is not None:
        goals["max-macs"] = CostLimit(limit=max_macs, unit="macs")
    if mean_exit_cost is not None:
        goals["mean-exit-cost"] = CostLimit(limit=mean_exit_cost, unit="relative")
    if min_accuracy is not None:
        goals["min-accuracy"] = AccuracyFloor(accuracy=min_accuracy)
    if max_accuracy_drop is not None:
        goals["max-accuracy-drop"] = AccuracyDrop(drop=max_accuracy_drop)
    if budget is not None:
        goals["budget"] = parse_budget(budget)
    if deadline_ms is not None:
        goals["deadline-ms"] = Anytime(deadline_ms=deadline_ms)
    if guarantee:
        goals["guarantee"] = Guarantee(
            risks=tuple(parse_risk(text) for text in guarantee),
            delta=0.05 if delta is None else delta,
            unit="auto" if unit is None else unit,
            max_referral=max_referral,
        )
    if len(goals) != 1:
        names = "max-ms, max-macs, mean-exit-cost, min-accuracy, max-accuracy-drop, budget, "
        got = f"got {', '.join(goals)}" if goals else "got none"
        raise UsageError(f"ask for one goal of {names}deadline-ms, guarantee; {got}.")
    return next(iter(goals.values()))
