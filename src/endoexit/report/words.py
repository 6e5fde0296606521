"""Numbers as a reader wants them; names at a length that fits."""

from collections.abc import Sequence
from typing import Any

from endoexit.evaluation.document import Estimate
from endoexit.evaluation.figures import MISSING, points_with_interval, with_interval
from endoexit.policy import ExitPolicy

_MINUS = "−"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as percent, without the sign; a dash for none."""
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def points(estimate: Estimate | None) -> str:
    """Return a difference of shares in points, with the minus of print: `−2.1 [−4.0, −0.4]`."""
    return points_with_interval(estimate).replace("-", _MINUS)


def score(estimate: Estimate | None) -> str:
    """Return a score with three digits, with the minus of print: `−0.072 [−0.301, 0.155]`."""
    return with_interval(estimate, 3).replace("-", _MINUS)


def elided(name: str, length: int) -> str:
    """Return a name cut in its middle, so that both ends still tell it from its neighbours."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 3
    return f"{name[: length - 1 - tail].rstrip()}…{name[len(name) - tail :].lstrip()}"


def by_the_clock(policy: ExitPolicy | None) -> list[str]:
    """Return a sentence on what the clock decides; none for a policy without a deadline."""
    if policy is None or policy.deadline_ms is None:
        return []
    beside = "" if policy.rule.kind == "fixed" else " as well"
    return [
        f"The clock decides{beside}: an image has the answer of the last exit that finishes within "
        f"{policy.deadline_ms:g} ms."
    ]


def in_print(goal: str) -> str:
    """Return a goal with the signs of print: `accuracy ≥ 0.9`."""
    return goal.replace("<=", "≤").replace(">=", "≥")


def some(names: Sequence[Any], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
