"""A joint sum in which exits count differently."""

from typing import Literal

from endoexit.training.strategies.base import Strategy, StrategySettings
from endoexit.training.strategies.weights import ExitWeights


class WeightedSettings(StrategySettings):
    """Σ_k w_k CE_k.

    Attributes:
        weights: Weights of the exits: one number each, or "equal", "linear", "pabee", "sdn",
            "branchynet" or "eenet"; see `endoexit.training.strategies.weights.weights_of`.
    """

    name: Literal["weighted"] = "weighted"
    weights: ExitWeights = "linear"

    def build(self, num_exits: int, label_smoothing: float) -> Strategy:
        """Return the strategy."""
        return Strategy(num_exits, label_smoothing, self.weights)
