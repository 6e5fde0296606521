"""One figure with its interval as text, the same in tables, cards and pages."""

from endoexit.evaluation.document import Estimate

MISSING = "–"


def with_interval(
    estimate: Estimate | None, digits: int, *, factor: float = 1.0, signed: bool = False
) -> str:
    """Return an estimate such as `0.733 [0.661, 0.795]`; a dash where there is none.

    What rounds to zero from below has no minus.

    Args:
        estimate: the figure; without an interval it stands alone.
        digits: after the point.
        factor: by which it is multiplied.
        signed: positive numbers have their sign too.
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
