"""Goals: what a user asks of a policy, read from options, and the point that meets them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.document import Costs, FrontPoint
from endoexit.policy.guarantee import UnitChoice
from endoexit.policy.risks import Risk, parse_risk

_BUDGET = re.compile(
    r"\s*(\d+)\s*images?\s*(?:,|in)\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(?:s|seconds?)\s*"
)
_UNITS = {"ms": "milliseconds", "macs": "multiply-adds", "relative": "of the whole network"}


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise UsageError(f"{name} must be a positive number, got {value}.")


def _share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{name} must lie between 0 and 1, got {value} (0.88 means 88 %).")


@dataclass(frozen=True)
class CostLimit:
    """Best accuracy with a mean cost of an image of at most `limit`.

    Attributes:
        limit: in `unit`; "relative" is a share of the whole network.
        unit: "ms", "macs" or "relative".
    """

    limit: float
    unit: str

    def __post_init__(self) -> None:
        _positive(f"the mean cost ({_UNITS[self.unit]})", self.limit)
        if self.unit == "relative" and self.limit > 1:
            raise UsageError(
                f"the mean cost is a share of the whole network, at most 1, got {self.limit:g} "
                "(0.6 means 60 %)."
            )

    def __str__(self) -> str:
        return f"mean cost <= {self.limit:g} {_UNITS[self.unit]}"


@dataclass(frozen=True)
class AccuracyFloor:
    """Least cost with an accuracy on calibrate of at least `accuracy`."""

    accuracy: float

    def __post_init__(self) -> None:
        _share("the accuracy", self.accuracy)

    def __str__(self) -> str:
        return f"accuracy >= {self.accuracy:g}"


@dataclass(frozen=True)
class AccuracyDrop:
    """Least cost with an accuracy on calibrate at most `drop` under the final exit's."""

    drop: float

    def __post_init__(self) -> None:
        _share("the accuracy drop", self.drop)
        if self.drop == 1:
            raise UsageError("an accuracy drop of 1 allows any loss: one point is 0.01.")

    def __str__(self) -> str:
        return f"accuracy >= final exit - {self.drop:g}"


@dataclass(frozen=True)
class Budget:
    """Budgeted batch: so many images in so many seconds (MSDNet's procedure)."""

    images: int
    seconds: float

    def __post_init__(self) -> None:
        _positive("the number of images", self.images)
        _positive("the seconds", self.seconds)

    def __str__(self) -> str:
        return f"{self.images} images in {self.seconds:g} s"


@dataclass(frozen=True)
class Guarantee:
    """Least cost with every risk at most its ε, with probability 1 − δ over certify.

    Attributes:
        risks: one or more.
        delta: δ.
        unit: what counts as one independent draw: an image, or a group with its mean loss;
            "auto" takes groups where a certify group holds several images.
    """

    risks: tuple[Risk, ...]
    delta: float = 0.05
    unit: UnitChoice = "auto"

    def __post_init__(self) -> None:
        if not self.risks:
            raise UsageError('a guarantee needs a risk, such as "disagreement<=0.02".')
        labels = [risk.label for risk in self.risks]
        if len(set(labels)) < len(labels):
            raise UsageError(f"a guarantee names a risk twice: {', '.join(labels)}.")
        if not 0.0 < self.delta < 1.0:
            raise UsageError(f"delta must lie between 0 and 1, got {self.delta}.")

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.risks))} with probability {1 - self.delta:g}"


@dataclass(frozen=True)
class Anytime:
    """The answer of the last exit that finished within `deadline_ms` of an image."""

    deadline_ms: float

    def __post_init__(self) -> None:
        _positive("the deadline", self.deadline_ms)

    def __str__(self) -> str:
        return f"the last exit within {self.deadline_ms:g} ms"


Goal = CostLimit | AccuracyFloor | AccuracyDrop | Budget | Guarantee | Anytime


def parse_budget(text: str) -> Budget:
    """Read a budget such as "1000 images, 60 seconds".

    Raises:
        UsageError: not of this form.
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise UsageError(f'cannot read the budget {text!r}: write "1000 images, 60 seconds".')
    return Budget(int(match[1]), float(match[2]))


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
) -> Goal:
    """Return the goal that the options ask for, as the command line names them.

    Args:
        max_ms: mean milliseconds of an image.
        max_macs: mean multiply-adds of an image.
        mean_exit_cost: mean cost as a share of the whole network.
        min_accuracy: accuracy on calibrate.
        max_accuracy_drop: accuracy on calibrate under the final exit's.
        budget: such as "1000 images, 60 seconds".
        deadline_ms: milliseconds that one image may take.
        guarantee: such as "disagreement<=0.02"; several hold at once.
        delta: δ of the guarantee; 0.05 when left out.
        unit: what counts as one draw for the guarantee; "auto" when left out.

    Raises:
        UsageError: no goal or several, delta or unit without a guarantee, a value out of range.
    """
    if not guarantee and (delta is not None or unit is not None):
        raise UsageError("delta and unit belong to a guarantee: add one, or leave them out.")
    goals: dict[str, Goal] = {}
    if max_ms is not None:
        goals["max-ms"] = CostLimit(max_ms, "ms")
    if max_macs is not None:
        goals["max-macs"] = CostLimit(max_macs, "macs")
    if mean_exit_cost is not None:
        goals["mean-exit-cost"] = CostLimit(mean_exit_cost, "relative")
    if min_accuracy is not None:
        goals["min-accuracy"] = AccuracyFloor(min_accuracy)
    if max_accuracy_drop is not None:
        goals["max-accuracy-drop"] = AccuracyDrop(max_accuracy_drop)
    if budget is not None:
        goals["budget"] = parse_budget(budget)
    if deadline_ms is not None:
        goals["deadline-ms"] = Anytime(deadline_ms)
    if guarantee:
        risks = tuple(parse_risk(text) for text in guarantee)
        goals["guarantee"] = Guarantee(
            risks, 0.05 if delta is None else delta, "auto" if unit is None else unit
        )
    if len(goals) != 1:
        names = "max-ms, max-macs, mean-exit-cost, min-accuracy, max-accuracy-drop, budget, "
        got = f"got {', '.join(goals)}" if goals else "got none"
        raise UsageError(f"ask for one goal of {names}deadline-ms, guarantee; {got}.")
    return next(iter(goals.values()))


def goal_options(goal: Goal) -> dict[str, float | str | tuple[str, ...]]:
    """Return the options with which `make_goal` makes this goal."""
    match goal:
        case CostLimit(limit, unit):
            name = {"ms": "max_ms", "macs": "max_macs", "relative": "mean_exit_cost"}[unit]
            return {name: limit}
        case AccuracyFloor(accuracy):
            return {"min_accuracy": accuracy}
        case AccuracyDrop(drop):
            return {"max_accuracy_drop": drop}
        case Budget(images, seconds):
            return {"budget": f"{images} images, {seconds!r} seconds"}
        case Anytime(deadline_ms):
            return {"deadline_ms": deadline_ms}
        case Guarantee(risks, delta, unit):
            texts = tuple(f"{risk.label}<={risk.tolerance!r}" for risk in risks)
            return {"guarantee": texts, "delta": delta, "unit": unit}


def limit_in(goal: CostLimit | Budget, costs: Costs) -> float:
    """Return the goal's mean cost of an image in the unit of `costs`.

    Raises:
        PolicyError: the costs are in another unit.
    """
    if isinstance(goal, Budget):
        unit, limit = "ms", 1000.0 * goal.seconds / goal.images
    else:
        unit, limit = goal.unit, goal.limit
    if unit == "relative":
        return limit * costs.values[-1]
    if unit != costs.unit:
        raise PolicyError(
            f'the goal "{goal}" needs costs in {_UNITS[unit]}, but those given are in '
            f"{_UNITS[costs.unit]} ({costs.source}): measure them with `endoexit evaluate`, or "
            "ask for mean-exit-cost."
        )
    return limit


def choose(
    goal: CostLimit | AccuracyFloor | AccuracyDrop,
    front: Sequence[FrontPoint],
    costs: Costs,
    final_accuracy: float,
) -> int:
    """Return the index of the front's point (cheapest first) that meets the goal best.

    Raises:
        PolicyError: no point meets it; says what can be had.
    """
    if isinstance(goal, CostLimit):
        limit = limit_in(goal, costs)
        meeting = [i for i, point in enumerate(front) if point.cost <= limit]
        if not meeting:
            raise PolicyError(
                f'no policy meets "{goal}": the cheapest costs {front[0].cost:.4g} '
                f"({_UNITS[costs.unit]}). Allow more, or take a smaller network."
            )
        return meeting[-1]
    floor = goal.accuracy if isinstance(goal, AccuracyFloor) else final_accuracy - goal.drop
    reaching = [i for i, point in enumerate(front) if point.accuracy >= floor - 1e-12]
    if not reaching:
        raise PolicyError(
            f'no policy meets "{goal}": the best reaches {front[-1].accuracy:.4f} on calibrate '
            f"(final exit {final_accuracy:.4f}). Ask for less, or train a better network."
        )
    return reaching[0]
