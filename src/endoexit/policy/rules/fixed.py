"""The rule that sends every image to the same exit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.rules.base import Rule
from endoexit.policy.table import ExitTable

if TYPE_CHECKING:
    from endoexit.policy.options import RuleOptions


class FixedRule(Rule):
    """Every image exits at one exit.

    Attributes:
        exit: Number of that exit, 1 to M.
    """

    kind: Literal["fixed"] = "fixed"
    exit: int

    def faults(self, num_exits: int) -> list[str]:
        """Return why the rule does not fit a network with so many exits; empty if it does."""
        if 1 <= self.exit <= num_exits:
            return []
        return [f"exit must be 1 to {num_exits}, got {self.exit}"]

    def decide(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        temperature: float,
        gates: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which images exit at an early exit; see `Rule.decide`."""
        return np.full(len(logits), exit_number == self.exit, dtype=np.bool_)

    def decide_one(
        self, exit_number: int, logits: Sequence[float], temperature: float
    ) -> bool | None:
        """Tell whether one image exits at an early exit; see `Rule.decide_one`."""
        return exit_number == self.exit

    def condition(self, exit_number: int) -> bool | str:
        """Return when an image exits at an early exit; see `Rule.condition`."""
        return exit_number == self.exit

    @classmethod
    def tried(cls, table: ExitTable, options: "RuleOptions") -> list[Self]:
        """Return the rules of this kind that are tried on a cohort, safest first."""
        return [cls(exit=number) for number in range(table.data.num_exits, 0, -1)]
