"""Linear gates, fitted from the last exit to the first (Bolukbasi et al. 2017).

"Adaptive Neural Networks for Efficient Inference" (ICML 2017) trains the decision of each exit as
a weighted binary classification: exit if continuing would cost more than it wins, with a weight of
the difference.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.features import linear_features, weigh
from endoexit.policy.folds import require_enough_to_fit
from endoexit.policy.logistic import fit_logistic
from endoexit.policy.rules.base import Candidate
from endoexit.policy.rules.gate import OPEN, GateRule, Values, exits_by, reaching
from endoexit.policy.rules.judging import best, judged, merits_of
from endoexit.policy.screening import Scores, screen
from endoexit.policy.table import ExitTable

if TYPE_CHECKING:
    from endoexit.policy.options import RuleOptions

# What the whole network costs, in answers: one answer is worth 33, 10 or 3 passes through it.
PRICES = (0.03, 0.1, 0.3)
RIDGE = 1.0
# Thresholds of the gates are tried as those of confidences are, but in fewer combinations for
# each price; with so many exits that three would not fit, the gates keep the threshold 0.
_MOST_CANDIDATES, _COMBINATIONS, _LEAST_CANDIDATES = 40, 20_000, 3


class LinearGateRule(GateRule):
    """An image exits when a weighted sum of features of the exit reaches the threshold.

    The features are the probabilities, the largest of them, 1 − normalised entropy, the margin,
    the share of exits so far that agree, and 1 (C + 5 numbers).
    """

    kind: Literal["linear_gate"] = "linear_gate"

    @classmethod
    def width(cls, exit_number: int, num_classes: int) -> int:
        """Return how many weights the gate of an early exit has."""
        return num_classes + 5

    def value(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        gates: Values,
        temperature: float,
    ) -> Values:
        """Return the weighted sum (B,) of the features of an early exit."""
        weights = np.asarray(self.weights[exit_number - 1])
        return weigh(linear_features(logits, previous, temperature), weights)

    def strength(self, gates: Values) -> Values:
        """Return the weighted sum (B,) of the last exit."""
        return gates[:, -1]

    def strength_words(self) -> str:
        """Return what is compared with the threshold, in words."""
        return "linear gate"

    @classmethod
    def fitted(cls, table: ExitTable, merits: Values) -> list[Self]:
        """Return one rule for each price of the work, with thresholds of 0."""
        data = table.data
        features = [
            linear_features(logits, data.predictions[:row].T, temperature)
            for row, (logits, temperature) in enumerate(
                zip(data.logits[:-1], table.temperatures[:-1], strict=True)
            )
        ]
        shares = np.asarray(table.costs) / table.costs[-1]
        rules = []
        for price in PRICES:
            rows = fit_backwards(features, price * shares[:, None] - merits, RIDGE)
            rules.append(
                cls(
                    num_classes=data.num_classes,
                    weights=tuple(tuple(row.tolist()) for row in rows),
                    thresholds=(0.0,) * len(rows),
                )
            )
        return rules

    @classmethod
    def front(
        cls,
        table: ExitTable,
        options: "RuleOptions",
        values: NDArray[np.float32],
        score: Scores,
    ) -> list[Candidate]:
        """Fit gates, try thresholds, and return what no cheaper one beats; see `GateRule.front`.

        For each price the values of the gates are out of sample. On them every combination of
        thresholds is tried, as it is for a confidence.
        """
        require_enough_to_fit(table.data)
        merits = merits_of(values, score)
        candidates = []
        for rule in cls.plain(table.data.num_exits, table.data.num_classes):
            candidates.append(judged(rule, rule.exits(table), table, values, score))
        gates = zip(cls.fitted(table, merits), cls._crossed_values(table, merits), strict=True)
        for rule, crossed in gates:
            for thresholds in _screened(crossed, table, values, score):
                exits = exits_by(crossed, thresholds)
                tried = rule.replaced(thresholds=thresholds)
                candidates.append(judged(tried, exits, table, values, score))
        return best(candidates)

    @classmethod
    def _crossed_values(cls, table: ExitTable, merits: Values) -> list[Values]:
        """Return for each price the values (M − 1, N) of gates that did not see the image."""
        shape = table.data.num_exits - 1, table.data.num_images
        values = [np.empty(shape) for _ in PRICES]
        for looking, outside, rules in cls.crossed_fits(table, merits):
            for crossed, rule in zip(values, rules, strict=True):
                crossed[:, looking] = rule.strengths(outside)
        return values


def _screened(
    crossed: Values, table: ExitTable, values: NDArray[np.float32], score: Scores
) -> Iterator[tuple[float | None, ...]]:
    """Yield the thresholds of the front of all combinations, for values (M − 1, N) of gates."""
    lists = [_candidates(row, len(crossed)) for row in crossed]
    masks = [
        np.stack([reaching(row, threshold) for threshold in thresholds])
        for row, thresholds in zip(crossed, lists, strict=True)
    ]
    screened = screen(masks, values, np.asarray(table.costs), score)
    for choice in screened.choices:
        yield tuple(lists[exit_][place] for exit_, place in enumerate(choice))


def _candidates(values: Values, early: int) -> tuple[float | None, ...]:
    """Return the thresholds that are tried at one of the early exits, from shut to open."""
    count = min(_MOST_CANDIDATES, int(_COMBINATIONS ** (1.0 / early) + 1e-9))
    if count < _LEAST_CANDIDATES:
        return (0.0,)
    levels = np.arange(1, count - 1) / (count - 1)
    inner = np.unique(np.quantile(values, levels, method="higher"))[::-1]
    return (None, *inner.tolist(), OPEN)


def fit_backwards(features: list[Values], losses: Values, ridge: float) -> list[Values]:
    """Return the weights (M − 1 rows) of gates that are fitted from the last exit to the first.

    At each exit an image should exit if its loss there is smaller than the loss that it has when
    it continues under the later gates. The difference is its weight.

    Args:
        features: Features (N, F) of each early exit (M − 1 arrays).
        losses: Loss (M, N) of each image when it exits at exit k, its cost included.
        ridge: Strength of the penalty.
    """
    rows: list[Values] = []
    later = losses[-1]
    for seen, here in zip(reversed(features), losses[-2::-1], strict=True):
        weights = fit_logistic(seen, here < later, np.abs(later - here), ridge)
        later = np.where(weigh(seen, weights) >= 0.0, here, later)
        rows.insert(0, weights)
    return rows
