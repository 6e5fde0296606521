"""Distillation from the final exit into the exits before it."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, distributed
from torch.nn import functional

from endoexit.training.strategies.base import Strategy, StrategySettings, softened_entropy
from endoexit.training.strategies.weights import ExitWeights

_SURE = 0.5
_GROWTH = 1.05


class SelfDistilSettings(StrategySettings):
    """(1 − α) Σ_k w_k CE_k + α T² Σ_{k<M} w_k H(softmax(z_M / T), softmax(z_k / T)).

    Phuong & Lampert, ICCV 2019. The final exit is the teacher and gets no gradient from the second
    sum. H is a cross entropy. A network without early exits has nothing to teach: its loss is CE.

    Attributes:
        alpha: Share α of the distillation; 0 for the joint sum.
        temperature: Temperature T; null for their schedule, which starts at 1 and grows by 5 %
            after each batch in which the mean of the teacher's top probability, softened by T, is
            above a half.
        weights: Weights of the exits w_k; see `WeightedSettings`.
    """

    name: Literal["self-distil"] = "self-distil"
    alpha: float = Field(0.5, ge=0, lt=1)
    temperature: float | None = Field(None, gt=0)
    weights: ExitWeights = "equal"

    def build(self, num_exits: int, label_smoothing: float) -> "SelfDistillation":
        """Return the strategy."""
        return SelfDistillation(self, num_exits, label_smoothing)


class SelfDistillation(Strategy):
    """See `SelfDistilSettings`; the temperature is kept in checkpoints.

    Args:
        settings: Settings of the recipe.
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies with the labels.
    """

    def __init__(
        self, settings: SelfDistilSettings, num_exits: int, label_smoothing: float = 0.0
    ) -> None:
        fixed = settings.temperature
        super().__init__(
            num_exits, label_smoothing, settings.weights, 1.0 if fixed is None else fixed
        )
        self.alpha = settings.alpha
        self.anneals = fixed is None

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        hard = self._joint(logits, target)
        if len(logits) == 1:
            return hard
        return (1 - self.alpha) * hard + self.alpha * self._distillation(logits)

    def _distillation(self, logits: list[Tensor]) -> Tensor:
        t, last = self.temperature.clone(), logits[-1].detach()
        terms = torch.stack([softened_entropy(last, z, t) for z in logits[:-1]])
        loss = t**2 * (terms @ self.weights[:-1].to(terms.dtype))
        if self.training and self.anneals:
            sure = _over_processes(functional.softmax(last / t, dim=1).amax(1).mean())
            if bool(sure > _SURE):
                self.temperature.mul_(_GROWTH)
        return loss


def _over_processes(value: Tensor) -> Tensor:
    """Return the mean of a value over the processes of a training, so that all decide alike."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
