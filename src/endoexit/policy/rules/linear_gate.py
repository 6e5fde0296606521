"""Linear gates, fitted from the last exit to the first (Bolukbasi et al. 2017).

"Adaptive Neural Networks for Efficient Inference" (ICML 2017) trains the decision of each exit as
a weighted binary classification: exit if continuing would cost more than it wins, with a weight of
the difference.
"""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.features import linear_features, weigh
from endoexit.policy.logistic import fit_logistic
from endoexit.policy.rules.gate import GateRule, Values
from endoexit.policy.table import ExitTable

# What the whole network costs, in answers: one answer is worth 33, 10 or 3 passes through it.
PRICES = (0.03, 0.1, 0.3)
RIDGE = 1.0


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

    def features(
        self, logits: NDArray[Any], previous: NDArray[Any], gates: Values, temperature: float
    ) -> Values:
        """Return what the gate of an early exit weighs."""
        return linear_features(logits, previous, temperature)

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
