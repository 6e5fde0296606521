"""MSDNet's budgeted batch: thresholds for a geometric exit distribution (Huang et al. 2018)."""

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.table import ExitTable

# From "everyone at exit 1" through even shares (q = 1) to nearly everyone at the last exit.
RATIOS = (0.0, *(float(q) for q in np.geomspace(0.01, 100.0, 161)))


def geometric_shares(num_exits: int, ratio: float) -> NDArray[np.float64]:
    """Return p_k = q^k / Σ_j q^j for k = 1..M; at q = 0 everyone leaves at exit 1."""
    powers = ratio ** np.arange(num_exits)
    return np.asarray(powers / powers.sum())


def thresholds_for_shares(
    confidences: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float | None, ...]:
    """Return the thresholds that send about these shares to the exits.

    Exit k's threshold is the confidence of the ⌊N·p_k⌋-th most confident image that has not left
    yet; whoever has at least that confidence leaves, so ties can take more. An exit whose count
    is zero takes nobody (None). Where ties left fewer images than the count, all of them leave.

    Args:
        confidences: (M − 1, N) of the early exits.
        shares: (M,) wanted shares; the last exit takes the rest.
    """
    images = confidences.shape[1]
    inside = np.ones(images, dtype=np.bool_)
    thresholds: list[float | None] = []
    for values, share in zip(confidences, shares, strict=False):
        # A share such as 0.3 of 10 images is 2.9999... in floating point, and means 3.
        count = min(int(np.floor(images * share + 1e-9)), int(inside.sum()))
        if count == 0:
            thresholds.append(None)
            continue
        threshold = float(np.sort(values[inside])[-count])
        thresholds.append(threshold)
        inside &= values < threshold
    return tuple(thresholds)


def geometric_policies(table: ExitTable) -> list[ExitPolicy]:
    """Return the policies of all ratios q, from cheap to dear."""
    shares = (geometric_shares(table.data.num_exits, ratio) for ratio in RATIOS)
    return [table.policy(thresholds_for_shares(table.confidences, share)) for share in shares]


def budgeted_policy(table: ExitTable, limit: float) -> ExitPolicy:
    """Return the dearest geometric policy whose mean cost fits.

    Args:
        table: the calibrate cohort.
        limit: mean cost of an image, in the unit of the table's costs.

    Raises:
        PolicyError: even the cheapest does not fit.
    """
    policies = geometric_policies(table)
    costs = [table.outcome(table.exits(policy)).cost for policy in policies]
    fitting = [index for index, cost in enumerate(costs) if cost <= limit]
    if not fitting:
        raise PolicyError(
            f"the budget allows {limit:.4g} for an image, but leaving at exit 1 alone costs "
            f"{min(costs):.4g}: allow more, send fewer images, or use a smaller network."
        )
    return policies[max(fitting, key=lambda index: costs[index])]
