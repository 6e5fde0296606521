"""The rule that waits until consecutive exits agree (PABEE, Zhou et al. 2020)."""

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.confidence import require_finite
from endoexit.policy.rules.base import Rule
from endoexit.policy.table import ExitTable

if TYPE_CHECKING:
    from endoexit.policy.options import RuleOptions


class PatienceRule(Rule):
    """An image exits when the last exits gave it the same label.

    Attributes:
        patience: Number of consecutive exits that must agree, 2 to M.
    """

    kind: Literal["patience"] = "patience"
    patience: int

    def faults(self, num_exits: int) -> list[str]:
        """Return why the rule does not fit a network with so many exits; empty if it does."""
        if 2 <= self.patience <= num_exits:
            return []
        return [f"patience must be 2 to {num_exits}, got {self.patience}"]

    def decide(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        temperature: float,
        gates: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which images exit at an early exit; see `Rule.decide`."""
        require_finite(logits)  # a NaN would count as a label
        before = self.patience - 1
        if previous.shape[1] < before:
            return np.zeros(len(logits), dtype=np.bool_)
        recent = previous[:, previous.shape[1] - before :]
        return np.asarray((recent == logits.argmax(axis=1)[:, None]).all(axis=1))

    def condition(self, exit_number: int) -> bool | str:
        """Return when an image exits at an early exit; see `Rule.condition`."""
        return exit_number >= self.patience and f"{self.patience} consecutive exits agree"

    @classmethod
    def tried(cls, table: ExitTable, options: "RuleOptions") -> list[Self]:
        """Return the rules of this kind that are tried on a cohort, safest first."""
        return [cls(patience=number) for number in range(table.data.num_exits, 1, -1)]
