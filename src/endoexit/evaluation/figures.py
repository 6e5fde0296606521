"""Figures as text, the same on the terminal, in the report and on model cards."""

import math

from endoexit.evaluation.document import Estimate

MISSING = "–"


def significant(value: float) -> str:
    """Return a number with three significant digits and no exponent: `0.00412`, `0.353`, `517`.

    Digits before the point are never rounded away: 1234.5 is `1234`.
    """
    rounded = float(f"{value:.3g}")
    if not math.isfinite(rounded) or rounded == 0:
        return f"{rounded:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:.{digits}f}"


def with_interval(
    estimate: Estimate | None, digits: int, *, factor: float = 1.0, signed: bool = False
) -> str:
    """Return an estimate such as `0.733 [0.661, 0.795]`; a dash where there is none.

    What rounds to zero from below has no minus.

    Args:
        estimate: The figure, with or without an interval.
        digits: Number of digits after the point.
        factor: What the figure is multiplied by.
        signed: Whether positive numbers show their sign.
    """
    if estimate is None or estimate.value is None:
        return MISSING

    def text(value: float) -> str:
        return f"{factor * value:{'+' if signed else ''}z.{digits}f}"

    if estimate.interval is None:
        return text(estimate.value)
    return f"{text(estimate.value)} [{text(estimate.interval.low)}, {text(estimate.interval.high)}]"


def percent_with_interval(estimate: Estimate | None) -> str:
    """Return a share in percent: `78.7 [72.8, 84.0]`."""
    return with_interval(estimate, 1, factor=100)


def points_with_interval(estimate: Estimate | None) -> str:
    """Return a difference of shares in points: `-2.1 [-4.0, -0.4]`."""
    return with_interval(estimate, 1, factor=100, signed=True)
