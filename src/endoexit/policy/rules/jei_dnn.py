"""The gates of JEI-DNN (Regol et al., ICLR 2024), fitted to exits that are trained already.

"Jointly-Learned Exit and Inference for a Dynamic Neural Network" trains gates and classifiers
alternately. A policy changes no classifier, so here the gates alone are fitted.
"""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.confidence import log_softmax
from endoexit.policy.features import jei_features
from endoexit.policy.logistic import fit_logistic
from endoexit.policy.rules.gate import GateRule, Values
from endoexit.policy.table import ExitTable

# What the whole network costs, in nats of the cross-entropy; the authors take 0.15 to 0.7.
PRICES = tuple(float(price) for price in np.geomspace(0.01, 5.0, 20))
RIDGE = 0.1
WIDTH = 5
HALF = 0.5  # chance from which an image exits


class JeiDnnRule(GateRule):
    """An image exits when its chance to exit here, not having exited before, is high enough.

    The gate of exit k is g_k = σ(a weighted sum of max p, entropy, margin, entropy of p² / Σ p²
    and 1). The chance to exit at k is P_k = max(0, min(g_k, 1 − Σ_{j<k} g_j)), and given that the
    image came so far P_k / (1 − Σ_{j<k} P_j). The authors let it exit from one half.
    """

    kind: Literal["jei_dnn"] = "jei_dnn"

    @classmethod
    def width(cls, exit_number: int, num_classes: int) -> int:
        """Return how many weights the gate of an early exit has."""
        return WIDTH

    def features(
        self, logits: NDArray[Any], previous: NDArray[Any], gates: Values, temperature: float
    ) -> Values:
        """Return what the gate of an early exit weighs."""
        return jei_features(logits, temperature)

    def value(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        gates: Values,
        temperature: float,
    ) -> Values:
        """Return g_k (B,) of an early exit."""
        weighed = super().value(exit_number, logits, previous, gates, temperature)
        return np.exp(-np.logaddexp(0.0, -weighed))

    def strength(self, gates: Values) -> Values:
        """Return the chance (B,) to exit here of an image that came so far."""
        left = 1.0 - np.add.reduce(np.ascontiguousarray(gates[:, :-1]), axis=1)
        # Where the earlier gates used up the whole chance, nothing is left for a later exit.
        over = left <= gates[:, -1]
        return np.asarray(np.where(over, 1.0, gates[:, -1] / np.where(over, 1.0, left)))

    def strength_words(self) -> str:
        """Return what is compared with the threshold, in words."""
        return "chance to exit here by its gate"

    @classmethod
    def fitted(cls, table: ExitTable, merits: Values) -> list[Self]:
        """Return one rule for each price of the work.

        The best exit of an image is the one with the least cross-entropy and cost. The gates from
        there on should say yes. Whatever the goal counts, the fit is to the labels.
        """
        data = table.data
        pairs = list(zip(data.logits, table.temperatures, strict=True))
        features = [jei_features(logits, temperature) for logits, temperature in pairs[:-1]]
        images = np.arange(data.num_images)
        losses = np.stack(
            [
                -log_softmax(logits, temperature)[images, data.labels]
                for logits, temperature in pairs
            ]
        )
        shares = np.asarray(table.costs)[:, None] / table.costs[-1]
        rules = []
        for price in PRICES:
            best = (losses + price * shares).argmin(axis=0)
            rows = [_fit(seen, best <= row) for row, seen in enumerate(features)]
            rules.append(
                cls(
                    num_classes=data.num_classes,
                    weights=tuple(rows),
                    thresholds=(HALF,) * len(rows),
                )
            )
        return rules


def _fit(features: Values, wanted: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return the weights of one gate; the images that should exit weigh as much as the others."""
    yes = int(wanted.sum())
    no = len(wanted) - yes
    weights = np.where(wanted, no / yes, 1.0) if yes and no else np.ones(len(wanted))
    return tuple(fit_logistic(features, wanted, weights, RIDGE).tolist())
