"""The scheduling of EENet (Ilhan et al., WACV 2024): a learned score for each exit, and shares."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.budget import thresholds_for_shares
from endoexit.policy.features import eenet_features
from endoexit.policy.rules.gate import GateRule, Values
from endoexit.policy.table import ExitTable

BUDGETS = 16  # from the cost of exit 1 to that of the whole network


class EenetRule(GateRule):
    """An image exits when the score of the exit reaches its threshold.

    The score is a weighted sum of the probabilities, the largest of them, 1 − normalised entropy,
    and the scores of the exits before, clipped to [0, 1] (C + 1 + k numbers at exit k).
    """

    kind: Literal["eenet"] = "eenet"

    @classmethod
    def width(cls, exit_number: int, num_classes: int) -> int:
        """Return how many weights the gate of an early exit has."""
        return num_classes + 1 + exit_number

    def features(
        self, logits: NDArray[Any], previous: NDArray[Any], gates: Values, temperature: float
    ) -> Values:
        """Return what the score of an early exit weighs."""
        return eenet_features(logits, gates, temperature)

    def strength_words(self) -> str:
        """Return what is compared with the threshold, in words."""
        return "EENet score"

    @classmethod
    def fitted(cls, table: ExitTable, merits: Values) -> list[Self]:
        """Return one rule for each budget.

        The thresholds send the shares of the schedule to the exits. Whatever the goal counts, the
        fit is to the labels.
        """
        # It imports SciPy, which is slow, and predicting fits nothing.
        from endoexit.policy.rules.scheduling import schedules  # noqa: PLC0415

        first, whole = table.costs[0], table.costs[-1]
        inner = np.arange(1, BUDGETS + 1) / (BUDGETS + 1)
        budgets = (first + (whole - first) * inner).tolist()
        rules = []
        for schedule in schedules(table, budgets):
            early = cls(
                num_classes=table.data.num_classes,
                weights=tuple(tuple(row.tolist()) for row in schedule.weights[:-1]),
                thresholds=(None,) * (table.data.num_exits - 1),
            )
            # The scores as the rule computes them, whose bits are those of the decision.
            thresholds = thresholds_for_shares(early.strengths(table), schedule.shares)
            rules.append(early.replaced(thresholds=thresholds))
        return rules
