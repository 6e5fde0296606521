"""Whether images exit today as those of calibration did: a promise holds for such images only."""

from collections import deque
from typing import Any

import numpy as np
from scipy import stats

LEAST = 50  # answers before anything is said
_RARE = 5.0  # images that an exit must expect; exits that expect fewer are counted together


class ExitShift:
    """Compares the exits of the last answers with the shares of the calibrate images.

    The test is Pearson's chi-squared test on counts (`scipy.stats.chisquare`).

    Args:
        shares: Shares (M,) of the calibrate images; None where they are not known.
        exits: Number of exits, M.
        window: Number of answers that are compared.
        threshold: Bound of the p-value under which the service says that a promise may not hold.
    """

    def __init__(
        self, shares: tuple[float, ...] | None, exits: int, window: int, threshold: float
    ) -> None:
        self.shares = shares
        self._threshold = threshold
        self._exits = exits
        self._last: deque[int] = deque(maxlen=window)

    def add(self, exit_: int) -> None:
        """Count an answer of an exit, from 1."""
        self._last.append(exit_)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers (M,) of the last answers at each exit."""
        return tuple(np.bincount(self._last, minlength=self._exits + 1)[1:].tolist())

    def p_value(self) -> float | None:
        """Return the chance of such a shift without a cause; None while too little is known."""
        images = len(self._last)
        if self.shares is None or images < LEAST:
            return None
        return shift_p_value(np.array(self.counts), np.array(self.shares))

    @property
    def is_shifted(self) -> bool:
        """Whether the p-value is below its bound, so that a promise may not hold."""
        p_value = self.p_value()
        return p_value is not None and p_value < self._threshold

    def document(self) -> dict[str, Any]:
        """Return the shift as JSON values."""
        shifted = self.is_shifted
        return {
            "images": len(self._last),
            "exits": self.counts,
            "calibrated_exit_shares": self.shares,
            "p_value": self.p_value(),
            "shifted": shifted,
            "says": "Images exit otherwise than at calibration: the promise may not hold."
            if shifted
            else None,
        }


def shift_p_value(counts: np.ndarray, shares: np.ndarray) -> float | None:
    """Return the p-value of counts (M,) under shares (M,); None where one exit takes all.

    Exits that expect fewer than 5 images are counted as one, as the test is only valid above.
    """
    expected = shares / shares.sum() * counts.sum()
    rare = expected < _RARE
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    # An exit of no calibrate image cannot be in the test: at least half an image is expected there.
    expected = np.maximum(expected, 0.5)
    if len(counts) < 2:
        return None
    expected *= counts.sum() / expected.sum()
    return float(stats.chisquare(counts, expected).pvalue)
