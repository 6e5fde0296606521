"""Half of the loss on the images, half on the same images under attack."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from endoexit.models.attacks import EPSILON, STEP, attack, average, max_average, single
from endoexit.models.staged import StagedClassifier
from endoexit.training.strategies.base import Shown, Strategy, StrategySettings
from endoexit.training.strategies.weights import ExitWeights

Against = Literal["main", "average", "max-average"]


class AdversarialSettings(StrategySettings):
    """(1 − α) Σ_k w_k CE_k(x) + α Σ_k w_k CE_k(x'), x' an attacked image.

    Hu et al., "Triple Wins" (ICLR 2020): projected gradient ascent within ε of each value, from a
    random start. The network is in evaluation mode while the attack is made, so that its passes
    leave the statistics of batch normalisation as they are.

    Attributes:
        attack: Attack on the final exit ("main"), on all exits at once ("average"), or the
            strongest of those on single exits ("max-average").
        alpha: Share α of the attacked images; 0 for the joint sum.
        epsilon: Largest change ε of a value, of 0 to 1.
        step: Change of one step.
        steps: Number of steps; each costs a pass forward and back.
        weights: Weights of the exits w_k; see `WeightedSettings`.
    """

    name: Literal["adversarial"] = "adversarial"
    attack: Against = "average"
    alpha: float = Field(0.5, ge=0, le=1)
    epsilon: float = Field(EPSILON, gt=0, le=1)
    step: float = Field(STEP, gt=0, le=1)
    steps: int = Field(10, ge=1, le=1000)
    weights: ExitWeights = "equal"

    def build(self, num_exits: int, label_smoothing: float) -> "Adversarial":
        """Return the strategy."""
        return Adversarial(self, num_exits, label_smoothing)


class Adversarial(Strategy):
    """See `AdversarialSettings`.

    Args:
        settings: Settings of the recipe.
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies with the labels.
    """

    def __init__(
        self, settings: AdversarialSettings, num_exits: int, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(num_exits, label_smoothing, settings.weights)
        self.settings = settings

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits (batch, classes) of all exits, then those for the attacked images."""
        logits: list[Tensor] = model(shown.images)
        if not self.settings.alpha:
            return logits
        return logits + list(model(self.attacked(model, shown)))

    def attacked(self, model: StagedClassifier, shown: Shown) -> Tensor:
        """Return the images under attack, normalised as they were, (B, 3, S, S)."""
        settings = self.settings

        def network(pixels: Tensor) -> list[Tensor]:
            logits: list[Tensor] = model((pixels - shown.mean) / shown.std)
            return [z.float() for z in logits]

        pixels = shown.images * shown.std + shown.mean
        with _answering(model):
            if settings.attack == "max-average":
                starts = [self._start(pixels) for _ in range(model.num_stages)]
                moved = max_average(
                    network, pixels, shown.target, starts, epsilon=settings.epsilon,
                    step=settings.step, steps=settings.steps,
                )  # fmt: skip
            else:
                moved = attack(
                    network, pixels, shown.target,
                    average if settings.attack == "average" else single(model.num_stages),
                    start=self._start(pixels), epsilon=settings.epsilon, step=settings.step,
                    steps=settings.steps,
                )  # fmt: skip
        return (moved - shown.mean) / shown.std

    def _start(self, pixels: Tensor) -> Tensor:
        return pixels + (2 * torch.rand_like(pixels) - 1) * self.settings.epsilon

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        exits, alpha = len(self.weights), self.settings.alpha
        clean = self._joint(logits[:exits], target)
        if len(logits) == exits:  # nothing is attacked
            return clean
        return (1 - alpha) * clean + alpha * self._joint(logits[exits:], target)


@contextlib.contextmanager
def _answering(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and afterwards each part back into its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
