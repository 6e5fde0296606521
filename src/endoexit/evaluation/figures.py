"""Figures as text, the same on the terminal, in the report and on model cards.

A number has three significant digits (`significant`). Shares and their differences are in percent
and points, with one decimal (`percent`, `points`); probabilities of classes have three decimals.
"""

import math
from collections.abc import Callable

from endoexit.evaluation.estimates import Estimate
from endoexit.tables import MISSING

SHARE = "% [95 % CI]"  # unit of a share with its interval, in the head of a column


def significant(value: float) -> str:
    """Return a number with three significant digits and no exponent: `0.00412`, `0.353`, `517`.

    Digits before the point are never rounded away: 1234.5 is `1234`.
    """
    rounded = float(f"{value:.3g}")
    if not math.isfinite(rounded) or rounded == 0:
        return f"{rounded:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """Return a share in percent, without the sign: `78.7`; a dash for none.

    What rounds to zero from below has no minus.
    """
    return MISSING if share is None else f"{100 * share:z.1f}"


def points(difference: float | None) -> str:
    """Return a difference of shares in points: `-2.1`, `+0.4`; a dash for none."""
    return MISSING if difference is None else f"{100 * difference:+z.1f}"


def probability(value: float | None) -> str:
    """Return the probability of a class: `0.973`, and `0.000` for one that is next to none."""
    return MISSING if value is None else f"{value:.3f}"


def with_interval(estimate: Estimate | None, form: Callable[[float], str] = significant) -> str:
    """Return an estimate such as `0.733 [0.661, 0.795]`; a dash where there is none.

    Args:
        estimate: Figure, with or without an interval.
        form: Text of one number.
    """
    if estimate is None or estimate.value is None:
        return MISSING
    text, interval = form(estimate.value), estimate.interval
    return text if interval is None else f"{text} [{form(interval.low)}, {form(interval.high)}]"


def percent_with_interval(estimate: Estimate | None) -> str:
    """Return a share in percent: `78.7 [72.8, 84.0]`."""
    return with_interval(estimate, percent)


def points_with_interval(estimate: Estimate | None) -> str:
    """Return a difference of shares in points: `-2.1 [-4.0, -0.4]`."""
    return with_interval(estimate, points)


def change(values: tuple[float | None, float | None]) -> str:
    """Return a number before and after something: `0.353 → 0.0412`; one where that is all."""
    before, after = (MISSING if value is None else significant(value) for value in values)
    return before if values[1] is None else f"{before} → {after}"


def cost_in_words(cost: float, whole: float, unit: str) -> str:
    """Return a mean cost with its unit ("macs" or "ms") and its share of the whole network."""
    scale, name = (1e9, "G multiply-adds") if unit == "macs" else (1.0, "ms")
    return f"{significant(cost / scale)} {name}, {cost / whole:.0%} of the whole network"
