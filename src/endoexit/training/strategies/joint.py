"""The joint sum of all exits' cross entropies, as in the paper."""

from typing import Literal

from endoexit.training.strategies.base import Strategy, StrategySettings


class JointSettings(StrategySettings):
    """Σ_k CE_k (Nguyen et al. 2025, Eq 14): all exits count alike."""

    name: Literal["joint"] = "joint"

    def build(self, num_exits: int, label_smoothing: float) -> Strategy:
        """Return the strategy."""
        return Strategy(num_exits, label_smoothing)
