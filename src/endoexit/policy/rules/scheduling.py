"""EENet's fit (Ilhan et al., WACV 2024): scores of the exits, and shares of images for them.

Two small models are fitted alternately. The scores q_k say how likely exit k is right. The
assignment gives each image a chance P_k for each exit, close to the scores and at a mean cost of
the budget. The mean chances are the shares that the thresholds keep; a policy needs the scores
and the thresholds alone.

The published code has slips that are mended here. Gradients are not summed over steps. The best
fit is kept, not the last. The outputs of the assignment are not squeezed into (0, 1), because
then each share is at least 1 / (1 + (M − 1) e) and tight budgets cannot be met. Scores that are
all 0 give even targets, not 0 / 0. Each model is fitted by L-BFGS, not by steps of Adam, and the
scores are held to the largest probability by a ridge, so that few images change little.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, softmax, xlogy

from endoexit.policy.features import eenet_features
from endoexit.policy.table import ExitTable

Values = NDArray[np.float64]
Loss = Callable[[Values], tuple[float, Values]]

CLOSENESS = 0.1  # weight of the closeness to the scores; the budget weighs 1 (α₁ / α₂)
WIDEST = 16  # units of the hidden layer, at most
_RIDGE = 1.0  # of the scores, for the whole cohort
_DECAY = 1e-3  # of the assignment
_EDGE = 1e-3  # scores are kept this far from 0 and 1 in logarithms
_ROUND = 1e-3  # the corner of |cost − budget| is rounded, so that it has a slope
_ITERATIONS = 25
_FIRST_ROUNDS = 2  # alternations at the first budget; the next ones start from its end
_SEED = 0


@dataclass(frozen=True, eq=False)
class Schedule:
    """Scores and shares that were fitted for one budget.

    Attributes:
        weights: Weights (M rows) of the score of each exit.
        scores: Scores (M, N) of the images.
        shares: Share (M,) of the images that is to use each exit.
    """

    weights: tuple[Values, ...]
    scores: Values
    shares: Values


def schedules(table: ExitTable, budgets: Sequence[float]) -> Iterator[Schedule]:
    """Yield the schedule for each budget, a mean cost of an image in the unit of the costs."""
    right = table.data.correct.astype(np.float64)
    exits, images = right.shape
    costs = np.asarray(table.costs)
    weights = [_start(exit_number, table.data.num_classes) for exit_number in range(1, exits + 1)]
    chances = np.full((images, exits), 1.0 / exits)
    assignment: Assignment | None = None
    for number, budget in enumerate(budgets):
        for _ in range(_FIRST_ROUNDS if number == 0 else 1):
            weights, features, scores = _fit_scores(table, weights, right, chances)
            assignment = assignment or Assignment(features)
            chances = assignment.fit(features, targets_of(scores), costs, budget)
        yield Schedule(tuple(weights), scores, chances.mean(axis=0))


def _start(exit_number: int, classes: int) -> Values:
    """Return the weights under which the score is the largest probability."""
    weights = np.zeros(classes + 1 + exit_number)
    weights[classes] = 1.0
    return weights


def _fit_scores(
    table: ExitTable, weights: Sequence[Values], right: Values, chances: Values
) -> tuple[list[Values], list[Values], Values]:
    """Fit the score of each exit, first to last; return weights, features and scores (M, N).

    An image weighs at exit k by its chance to use it.
    """
    exits, images = right.shape
    shares = chances / chances.sum(axis=0)
    features: list[Values] = []
    fitted: list[Values] = []
    scores = np.empty((images, exits))
    for row in range(exits):
        seen = eenet_features(table.data.logits[row], scores[:, :row], table.temperatures[row])
        start = _start(row + 1, table.data.num_classes)
        beta = _minimised(_penalised(seen, right[row], shares[:, row], start), weights[row])
        scores[:, row] = seen @ beta
        features.append(seen)
        fitted.append(beta)
    return fitted, features, scores.T


def _penalised(features: Values, right: Values, shares: Values, start: Values) -> Loss:
    ridge = _RIDGE / len(right)

    def loss(beta: Values) -> tuple[float, Values]:
        value, slope = score_loss(beta, features, right, shares)
        away = beta - start
        return value + 0.5 * ridge * float(away @ away), slope + ridge * away

    return loss


def score_loss(
    beta: Values, features: Values, right: Values, shares: Values
) -> tuple[float, Values]:
    """Return Σ ω BCE(q, right) of one exit and its slope (F,); ω are the shares (N,)."""
    raw = features @ beta
    scores = np.clip(raw, _EDGE, 1.0 - _EDGE)
    value = -shares @ (right * np.log(scores) + (1.0 - right) * np.log(1.0 - scores))
    moving = raw == scores
    slope = shares * moving * ((1.0 - right) / (1.0 - scores) - right / scores)
    return float(value), np.asarray(slope @ features)


def targets_of(scores: Values) -> Values:
    """Return scores (M, N), clipped to [0, 1], as shares (N, M) of each image."""
    clipped = np.clip(scores, 0.0, 1.0).T
    total = clipped.sum(axis=1, keepdims=True)
    even = np.full_like(clipped, 1.0 / clipped.shape[1])
    np.divide(clipped, total, out=even, where=total > 0.0)
    return even


def assignment_loss(
    outputs: Values, targets: Values, costs: Values, budget: float
) -> tuple[float, Values]:
    """Return closeness · mean t ln(t / P) + abs(mean cost − budget) / budget, and its slope (N, M).

    Args:
        outputs: Outputs (N, M) of the assignment; P is their softmax.
        targets: Scores as shares (N, M).
        costs: Cost (M,) of each exit.
        budget: Mean cost that is wanted.
    """
    chances = softmax(outputs, axis=1)
    images, exits = chances.shape
    distance = divergence(targets, chances)
    each = chances @ costs
    gap = (each.mean() - budget) / budget
    size = np.hypot(gap, _ROUND)
    slope = CLOSENESS * (chances - targets) / (images * exits)
    slope += gap / size / budget / images * chances * (costs - each[:, None])
    return float(CLOSENESS * distance + size), slope


def divergence(targets: Values, chances: Values) -> float:
    """Return the mean over images and exits of t ln(t / P)."""
    return float((xlogy(targets, targets) - xlogy(targets, chances)).mean())


class Assignment:
    """The model of the chances: for each exit v · σ(W x + b) + c of the features x of its score.

    Args:
        features: Features (N, F_k) of each exit, for their widths.
    """

    def __init__(self, features: Sequence[Values]) -> None:
        generator = np.random.default_rng(_SEED)
        self._parts: list[tuple[int, int]] = []
        pieces = []
        for seen in features:
            width = seen.shape[1]
            hidden = max(1, min(WIDEST, width // 2))
            self._parts.append((hidden, width))
            pieces += [generator.normal(size=hidden * width) / np.sqrt(width), np.zeros(hidden)]
            pieces.append(np.zeros(hidden + 1))
        self._numbers = np.concatenate(pieces)

    def fit(
        self, features: Sequence[Values], targets: Values, costs: Values, budget: float
    ) -> Values:
        """Fit from where the last fit ended, and return the chances (N, M)."""

        def loss(numbers: Values) -> tuple[float, Values]:
            outputs, hidden = self._outputs(numbers, features)
            value, slope = assignment_loss(outputs, targets, costs, budget)
            back = self._back(numbers, features, hidden, slope)
            return value + 0.5 * _DECAY * float(numbers @ numbers), back + _DECAY * numbers

        self._numbers = _minimised(loss, self._numbers)
        return np.asarray(softmax(self._outputs(self._numbers, features)[0], axis=1))

    def _outputs(self, numbers: Values, features: Sequence[Values]) -> tuple[Values, list[Values]]:
        """Return the outputs (N, M), and the hidden units (N, h_k) of each exit."""
        columns, units = [], []
        for seen, (first, bias, second) in zip(features, self._split(numbers), strict=True):
            hidden = expit(seen @ first.T + bias)
            columns.append(hidden @ second[:-1] + second[-1])
            units.append(hidden)
        return np.column_stack(columns), units

    def _back(
        self, numbers: Values, features: Sequence[Values], units: Sequence[Values], slope: Values
    ) -> Values:
        """Return the slope of the loss in all numbers, from that in the outputs (N, M)."""
        pieces = []
        parts = zip(features, units, self._split(numbers), slope.T, strict=True)
        for seen, hidden, (_, _, second), column in parts:
            inner = column[:, None] * second[:-1] * hidden * (1.0 - hidden)
            pieces += [(inner.T @ seen).ravel(), inner.sum(axis=0)]
            pieces += [column @ hidden, column.sum(keepdims=True)]
        return np.concatenate(pieces)

    def _split(self, numbers: Values) -> Iterator[tuple[Values, Values, Values]]:
        """Yield W (h, F), b (h,) and v with c (h + 1,) of each exit."""
        place = 0
        for hidden, width in self._parts:
            ends = np.cumsum([hidden * width, hidden, hidden + 1]) + place
            first, bias, second = (
                numbers[start:end] for start, end in zip((place, *ends), ends, strict=False)
            )
            yield first.reshape(hidden, width), bias, second
            place = int(ends[-1])


def _minimised(loss: Loss, start: Values) -> Values:
    """Return the best numbers that L-BFGS comes to from a start."""
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return np.asarray(fit.x)
