"""Whether answers today are like those of calibration: a promise holds for such images only.

Three things are compared: exits, labels, and the confidence of the exit that answers.
"""

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from endoexit.policy.answers import Answers, confidence_bin

LEAST = 50  # answers before anything is said
# Images that each cell of a table must expect. Below 5 the test is not valid; at p-values as small
# as those that count here it still rejects twice too often with 5.
LEAST_EXPECTED = 10.0
NOT_KNOWN = (
    "Whether answers are like those of calibration is not known, because the policy does not hold "
    "those: run `endoexit calibrate` again."
)
_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9)  # of the confidence, where the policy has none

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """One of the things that are compared.

    Attributes:
        name: "exits", "labels" or "confidence".
        values: Names (B,) of its values.
        counts: Numbers (B,) of the last answers with each.
        calibrated: Numbers (B,) of the calibrate images with each; None where not known.
        p_value: Chance of counts that differ so much without a cause; None while too little is
            known, or where all images have the same value.
    """

    name: str
    values: tuple[str, ...]
    counts: Counts
    calibrated: Counts | None
    p_value: float | None

    def document(self, bound: float) -> dict[str, Any]:
        """Return the comparison as JSON values; shifted is a p-value below the bound."""
        return {
            "values": self.values,
            "counts": self.counts.tolist(),
            "calibrated": None if self.calibrated is None else self.calibrated.tolist(),
            "p_value": self.p_value,
            "shifted": self.p_value is not None and self.p_value < bound,
        }


class Shift:
    """Compares the last answers with those on the calibrate images.

    Each test is Pearson's chi-squared test that two samples are of one source
    (`scipy.stats.chi2_contingency`), so few calibrate images make it careful. The threshold, the
    chance of a false alarm of all tests together, is shared between them (Bonferroni).

    Args:
        calibrated: Answers on the calibrate images; None where they are not known.
        classes: Names of the labels.
        exits: Number of exits, M.
        window: Number of answers that are compared.
        threshold: Chance under which a shift counts as one.
    """

    def __init__(
        self,
        calibrated: Answers | None,
        classes: tuple[str, ...],
        exits: int,
        window: int,
        threshold: float,
    ) -> None:
        self.calibrated = calibrated
        self._edges = _EDGES if calibrated is None else calibrated.confidence_edges
        self._threshold = threshold
        self._values = {
            "exits": tuple(str(number) for number in range(1, exits + 1)),
            "labels": classes,
            "confidence": _ranges(self._edges),
        }
        self._last: deque[tuple[int, int, int]] = deque(maxlen=window)

    def add(self, exit_: int, label: int, confidence: float) -> None:
        """Count an answer.

        Args:
            exit_: Exit that answered, from 1.
            label: Index of its class.
            confidence: Its largest probability.
        """
        self._last.append((exit_ - 1, label, confidence_bin(confidence, self._edges)))

    def comparisons(self) -> tuple[Comparison, ...]:
        """Return what is compared, each with its p-value."""
        last = np.array(self._last, dtype=np.int64).reshape(-1, 3)
        before = self.calibrated
        known = (None,) * 3 if before is None else (before.exits, before.labels, before.confidences)
        comparisons = []
        for column, ((name, values), past) in enumerate(
            zip(self._values.items(), known, strict=True)
        ):
            counts = np.bincount(last[:, column], minlength=len(values))
            calibrated = None if past is None else np.array(past, dtype=np.int64)
            enough = calibrated is not None and len(last) >= LEAST
            p_value = shift_p_value(counts, calibrated) if enough else None  # type: ignore[arg-type]
            comparisons.append(Comparison(name, values, counts, calibrated, p_value))
        return tuple(comparisons)

    def bound(self, comparisons: tuple[Comparison, ...]) -> float:
        """Return the p-value under which one of the comparisons is a shift."""
        tests = sum(comparison.p_value is not None for comparison in comparisons)
        return self._threshold / max(1, tests)

    @property
    def is_shifted(self) -> bool:
        """Whether a p-value is below its bound, so that a promise may not hold."""
        return bool(self._shifted(self.comparisons()))

    def document(self) -> dict[str, Any]:
        """Return the shift as JSON values."""
        comparisons = self.comparisons()
        shifted = self._shifted(comparisons)
        says = NOT_KNOWN if self.calibrated is None else None
        if shifted:
            names = " and ".join(shifted)
            says = f"Other {names} than at calibration: the promise may not hold."
        bound = self.bound(comparisons)
        return {
            "images": len(self._last),
            "calibrated_images": None if self.calibrated is None else self.calibrated.images,
            "shifted": bool(shifted),
            "says": says,
            **{comparison.name: comparison.document(bound) for comparison in comparisons},
        }

    def _shifted(self, comparisons: tuple[Comparison, ...]) -> list[str]:
        bound = self.bound(comparisons)
        return [
            comparison.name
            for comparison in comparisons
            if comparison.p_value is not None and comparison.p_value < bound
        ]


def shift_p_value(counts: Counts, calibrated: Counts) -> float | None:
    """Return the p-value of two samples (B,) and (B,) of one source; None where nothing differs.

    The rarest values are counted as one, and the next, until each expects enough images.
    """
    table = np.stack([counts, calibrated])
    totals = table.sum(axis=0)
    share = table.sum(axis=1).min() / totals.sum()  # of the images in the smaller sample
    groups: list[list[int]] = [[]]
    for value in np.argsort(totals, kind="stable").tolist():
        if totals[groups[-1]].sum() * share >= LEAST_EXPECTED:
            groups.append([])
        groups[-1].append(value)
    if len(groups) > 1 and totals[groups[-1]].sum() * share < LEAST_EXPECTED:
        last = groups.pop()
        groups[-1] += last
    if len(groups) < 2:
        return None
    merged = np.stack([table[:, group].sum(axis=1) for group in groups], axis=1)
    return float(stats.chi2_contingency(merged, correction=False).pvalue)


def _ranges(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Return the bins between edges in words."""
    if not edges:
        return ("any",)
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    return (f"below {edges[0]:g}", *between, f"{edges[-1]:g} or more")
