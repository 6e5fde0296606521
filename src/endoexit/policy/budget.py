"""MSDNet's budgeted batch: thresholds for a geometric exit distribution (Huang et al. 2018)."""

import numpy as np
from numpy.typing import NDArray

# From "all images at exit 1" through even shares (q = 1) to nearly all at the last exit.
RATIOS = (0.0, *(float(q) for q in np.geomspace(0.01, 100.0, 161)))


def geometric_shares(num_exits: int, ratio: float) -> NDArray[np.float64]:
    """Return p_k = q^k / Σ_j q^j for k = 1..M; at q = 0 all images exit at exit 1."""
    powers = ratio ** np.arange(num_exits)
    return np.asarray(powers / powers.sum())


def thresholds_for_shares(
    confidences: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float | None, ...]:
    """Return the thresholds that send about these shares to the exits.

    Exit k's threshold is the confidence of the ⌊N·p_k⌋-th most confident image that has not
    exited yet. Every image with at least that confidence exits, so ties can take more. At an
    exit whose count is zero no image exits (None). Where fewer images remain than the count, all
    of them exit.

    Args:
        confidences: Confidence (M − 1, N) of the early exits.
        shares: Wanted shares (M,); the last exit takes the rest.
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
