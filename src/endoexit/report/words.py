"""Numbers as a reader wants them, with their intervals; names at a length that fits."""

from collections.abc import Sequence
from typing import Any

from endoexit.evaluation.records import Estimate
from endoexit.policy import ExitPolicy

MISSING = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as percent, without the sign; a dash for none."""
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def percent_with_interval(estimate: Estimate | None) -> str:
    """Return `78.7 [72.8, 84.0]`."""
    if estimate is None or estimate.value is None:
        return MISSING
    text = percent(estimate.value)
    if estimate.interval is None:
        return text
    return f"{text} [{percent(estimate.interval.low)}, {percent(estimate.interval.high)}]"


def points_with_interval(estimate: Estimate | None) -> str:
    """Return a difference of accuracies in points: `−2.1 [−4.0, −0.4]`."""
    if estimate is None or estimate.value is None:
        return MISSING
    text = _signed(estimate.value)
    if estimate.interval is None:
        return text
    return f"{text} [{_signed(estimate.interval.low)}, {_signed(estimate.interval.high)}]"


def number_with_interval(estimate: Estimate, digits: int = 3) -> str:
    """Return `0.733 [0.661, 0.795]`."""
    if estimate.value is None:
        return MISSING
    text = f"{estimate.value:.{digits}f}"
    if estimate.interval is None:
        return text
    low, high = estimate.interval.low, estimate.interval.high
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def significant(value: float) -> str:
    """Return a positive number with three or more significant digits and no exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.{2 if value < 1 else 1 if value >= 10 else 2}f}"


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
    beside = "" if policy.rule == "fixed" else " as well"
    return [
        f"The clock decides{beside}: an image has the answer of the last exit that finishes within "
        f"{policy.deadline_ms:g} ms."
    ]


def some(names: Sequence[Any], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
