"""Gradient equilibrium: each stage learns from the mean of what the exits behind it ask for."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from endoexit.models.staged import Stage, StagedClassifier, State
from endoexit.training.strategies.base import (
    Shown,
    Strategy,
    StrategySettings,
    answering_alone,
)
from endoexit.training.strategies.weights import ExitWeights


class EquilibriumSettings(StrategySettings):
    """Σ_k w_k CE_k with rescaled gradients (Li et al., ICCV 2019).

    In a joint sum, stage k gets the sum of the gradients of M − k + 1 exits, and the first stages
    the largest. Here the map that exit k reads gets G_k = (∂L_k + (M − k) G_{k+1}) / (M − k + 1),
    which in a chain of stages is the mean over the exits from k on. Heads keep their gradients, and
    so does all that bypasses these maps, such as the finer scales of MSDNet. The steps of AdamW do
    not depend on a factor of the gradient, so with it a chain changes little.

    Attributes:
        weights: Weights of the exits w_k; see `WeightedSettings`.
    """

    name: Literal["equilibrium"] = "equilibrium"
    fewest_exits = 2
    weights: ExitWeights = "equal"

    def build(self, num_exits: int, label_smoothing: float) -> "Equilibrium":
        """Return the strategy."""
        return Equilibrium(num_exits, label_smoothing, self.weights)


class Equilibrium(Strategy):
    """See `EquilibriumSettings`."""

    def attach(self, model: StagedClassifier) -> None:
        """Raise UsageError if exits read each other's answers, which bypass the maps."""
        answering_alone("equilibrium", model)

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits of all exits, each (batch, classes), on the rescaling graph."""
        return in_equilibrium([cast(Stage, stage).opened for stage in model.stages], shown.images)


def in_equilibrium(
    steps: Sequence[Callable[[State], tuple[State, Callable[[State], Tensor], State]]],
    images: Tensor,
) -> list[Tensor]:
    """Return the logits of all exits, each (batch, classes), on the rescaling graph.

    Args:
        steps: Functions, one a stage, from a state to the state after it, the exit's head and
            what that reads.
        images: Normalised images (B, 3, S, S).
    """
    state: State = (images,)
    logits = []
    for number, step in enumerate(steps, start=1):
        state, head, seen = step(state)
        behind = len(steps) - number
        if behind:
            # Early exits read the last tensor of the state.
            fork = rescaled(seen[-1], 1 / (behind + 1))
            seen = (*seen[:-1], fork)
            state = (*state[:-1], rescaled(fork, behind))
        logits.append(head(seen))
    return logits


class _Rescaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        """Return the same values."""
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times the factor."""
        return gradients[0] * ctx.factor, None


rescaled = cast(Callable[[Tensor, float], Tensor], _Rescaled.apply)
"""Returns a tensor as it is, whose gradient is multiplied by a factor on the way back."""
