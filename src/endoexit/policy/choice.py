"""From a goal to one point: what is chosen, the front and its point that meets a goal, limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError
from endoexit.policy.document import Costs, FrontPoint, Promise
from endoexit.policy.goals import (
    UNIT_WORDS,
    AccuracyDrop,
    AccuracyFloor,
    Budget,
    CostLimit,
    CostUnit,
)
from endoexit.policy.guarantee import Trial
from endoexit.policy.referral import Referral
from endoexit.policy.rules.base import Candidate, Rule
from endoexit.policy.table import ExitTable


@dataclass(frozen=True)
class Chosen:
    """A rule for a goal, and what the policy keeps of the search.

    Attributes:
        rule: Rule with its numbers.
        front: Candidates that no cheaper one beats.
        deadline_ms: Milliseconds that an image may take, if the clock decides.
        referral: Images that are referred to a human; None for none.
        promises: Guarantees that hold.
        note: What a reader must know.
        trials: Test sequence on certify.
        crossed: Exit (N,) of each image of calibrate by a rule that was fitted without it; None
            where the rule was not fitted. See `Candidate.crossed`.
    """

    rule: Rule
    front: tuple[FrontPoint, ...] = ()
    deadline_ms: float | None = None
    referral: Referral | None = None
    promises: tuple[Promise, ...] = ()
    note: str | None = None
    trials: tuple[Trial, ...] = ()
    crossed: NDArray[np.int64] | None = None


def limit_in(goal: CostLimit | Budget, costs: Costs) -> float:
    """Return the mean cost of an image that a goal allows, in the unit of `costs`.

    Raises:
        PolicyError: The costs are in another unit.
    """
    if isinstance(goal, Budget):
        return _in_unit("ms", 1000.0 * goal.seconds / goal.images, goal, costs)
    return _in_unit(goal.unit, goal.limit, goal, costs)


def _in_unit(unit: CostUnit, limit: float, goal: CostLimit | Budget, costs: Costs) -> float:
    if unit == "relative":
        return limit * costs.values[-1]
    if unit != costs.unit:
        raise PolicyError(
            f'the goal "{goal}" needs costs in {UNIT_WORDS[unit]}, but those given are in '
            f"{UNIT_WORDS[costs.unit]} ({costs.source}): measure them with `endoexit evaluate`, or "
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
        PolicyError: No point meets it; says what can be had.
    """
    if isinstance(goal, CostLimit):
        limit = limit_in(goal, costs)
        meeting = [i for i, point in enumerate(front) if point.cost <= limit]
        if not meeting:
            raise PolicyError(
                f'no policy meets "{goal}": the cheapest costs {front[0].cost:.4g} '
                f"({UNIT_WORDS[costs.unit]}). Allow more, or take a smaller network."
            )
        return meeting[-1]
    floor = least_accuracy(goal, final_accuracy)
    reaching = [i for i, point in enumerate(front) if point.accuracy >= floor]
    if not reaching:
        raise PolicyError(
            f'no policy meets "{goal}": the best reaches {front[-1].accuracy:.4f} on calibrate '
            f"(final exit {final_accuracy:.4f}). Ask for less, or train a better network."
        )
    return reaching[0]


def least_accuracy(goal: AccuracyFloor | AccuracyDrop, final_accuracy: float) -> float:
    """Return the accuracy on calibrate that a goal asks for."""
    asked = goal.accuracy if isinstance(goal, AccuracyFloor) else final_accuracy - goal.drop
    return asked - 1e-12  # accuracies are shares of images, rounded


def front_points(
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
