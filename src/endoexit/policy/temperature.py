"""Temperature scaling per exit, and how good it made the probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

from endoexit.policy.confidence import ConfidenceName, confidence, log_softmax, softmax
from endoexit.policy.logits import LogitSet

TEMPERATURE_RANGE = (0.01, 100.0)
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class ExitCalibration:
    """One exit on the calibrate role, before (T = 1) and after temperature scaling.

    Attributes:
        temperature: T.
        nll: Mean negative log likelihood (nats), before and after.
        ece: Expected calibration error with 15 bins, before and after.
        auroc: Area under the curve of how well the confidence ranks right above wrong answers,
            before and after; None where all are right or all wrong. Better calibrated exits can
            rank worse (arXiv 2508.21495).
    """

    temperature: float
    nll: tuple[float, float]
    ece: tuple[float, float]
    auroc: tuple[float, float] | None


def negative_log_likelihood(
    logits: ArrayLike, labels: NDArray[np.int64], temperature: float = 1.0
) -> float:
    """Return the mean −ln p(label) of logits (N, C) in nats."""
    logs = log_softmax(logits, temperature)
    return float(-logs[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: ArrayLike, labels: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the negative log likelihood (Guo et al. 2017).

    The likelihood is convex in 1 / T, so its minimum is where the derivative
    mean(E_p[z] − z_label) is zero. Where every image is right there is no minimum (a smaller T
    is always better), and 1 is returned; an exit no better than chance gets the upper limit of
    `TEMPERATURE_RANGE`.

    Args:
        logits: (N, C).
        labels: (N,) class indices.
    """
    scores = np.asarray(logits, dtype=np.float64)
    given = scores[np.arange(len(labels)), labels]
    if (given >= scores.max(axis=1)).all():
        return 1.0

    def slope(log_temperature: float) -> float:
        probabilities = softmax(scores, float(np.exp(log_temperature)))
        return float(((probabilities * scores).sum(axis=1) - given).mean())

    low, high = np.log(TEMPERATURE_RANGE)
    if slope(high) >= 0:
        return TEMPERATURE_RANGE[1]
    if slope(low) <= 0:
        return TEMPERATURE_RANGE[0]
    return float(np.exp(brentq(slope, low, high, xtol=1e-12)))


def fit_temperatures(data: LogitSet) -> tuple[float, ...]:
    """Return the temperature of each exit; see `fit_temperature`."""
    return tuple(fit_temperature(logits, data.labels) for logits in data.logits)


def expected_calibration_error(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = CALIBRATION_BINS
) -> float:
    """Return Σ over bins of `|accuracy − confidence|`, weighted by the share of images in the bin.

    Bins of equal width on the largest probability (Guo et al. 2017, Eq. 3); probabilities (N, C).
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=right - top, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def ranking_auroc(values: NDArray[np.float64], right: NDArray[np.bool_]) -> float | None:
    """Return the chance that a right answer has more confidence than a wrong one.

    Ties count half. None where all are right or all are wrong.
    """
    hits, misses = int(right.sum()), int((~right).sum())
    if not hits or not misses:
        return None
    ranks = rankdata(values)
    return float((ranks[right].sum() - hits * (hits + 1) / 2) / (hits * misses))


def describe_calibration(
    data: LogitSet, temperatures: tuple[float, ...], rule: ConfidenceName
) -> tuple[ExitCalibration, ...]:
    """Return each exit's figures before and after; `rule` is the confidence that is ranked."""
    described = []
    for logits, right, fitted in zip(data.logits, data.correct, temperatures, strict=True):
        pair = (1.0, fitted)
        before, after = (ranking_auroc(confidence(logits, rule, t), right) for t in pair)
        errors = [expected_calibration_error(softmax(logits, t), data.labels) for t in pair]
        likelihoods = [negative_log_likelihood(logits, data.labels, t) for t in pair]
        described.append(
            ExitCalibration(
                temperature=fitted,
                nll=(likelihoods[0], likelihoods[1]),
                ece=(errors[0], errors[1]),
                auroc=None if before is None or after is None else (before, after),
            )
        )
    return tuple(described)
