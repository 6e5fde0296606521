"""Inline collaboration with one-for-all distillation: exits learn from each other (IMTA)."""

from collections.abc import Callable
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.models.collaboration import CollaboratingStage, collaborates
from endoexit.models.staged import StagedClassifier, State
from endoexit.training.strategies.base import Shown
from endoexit.training.strategies.equilibrium import in_equilibrium
from endoexit.training.strategies.two_parts import TwoParts, TwoPartSettings

Step = Callable[[State], tuple[State, Callable[[State], Tensor], State]]


class CollaborationSettings(TwoPartSettings):
    """CE_M + Σ_{k<M} [(1 − γ) CE_k + γ T² mean(p (ln p − ln p_k))] of exits that collaborate.

    Li et al., ICCV 2019. In the first part the trunk and the exits learn with a linear layer each
    that is not kept, by Σ_k CE_k. In the second part all of this is frozen, and the layers that
    read the answers of the exits before learn by the loss above. p is softmax(z / T) with z the
    final answer of the frozen network; the mean is over images and classes, as in the authors'
    code. Unlike there, the batch normalisation of the frozen network is frozen too.

    Attributes:
        trunk_share: Share of the epochs of the first part.
        balanced: Whether the first part rescales gradients; see `EquilibriumSettings`.
        gamma: Share γ of the distillation; 0 for the joint sum.
        temperature: Temperature T.
    """

    name: Literal["collaboration"] = "collaboration"
    balanced: bool = True
    gamma: float = Field(0.1, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)

    def build(self, num_exits: int, label_smoothing: float) -> "Collaboration":
        """Return the strategy."""
        return Collaboration(self, num_exits, label_smoothing)


class Collaboration(TwoParts):
    """See `CollaborationSettings`.

    Args:
        settings: Settings of the recipe.
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies with the labels.
    """

    def __init__(
        self, settings: CollaborationSettings, num_exits: int, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(
            num_exits, label_smoothing, settings.trunk_share, temperature=settings.temperature
        )
        self.settings = settings
        self.alone = nn.ModuleList()

    def attach(self, model: StagedClassifier) -> None:
        """Make a linear layer for each exit, which answers alone while the trunk learns."""
        if not collaborates(model):
            raise UsageError(
                "the strategy collaboration needs exits that read the answers of those before: "
                "train with --set model.collaborate=true."
            )
        widths = [stage.head.width for stage in _stages(model)]
        self.alone = nn.ModuleList(nn.Linear(width, model.num_classes) for width in widths)

    def resting(self, model: StagedClassifier) -> list[nn.Module]:
        """Return the parts of the network that do not learn in this epoch."""
        stages = _stages(model)
        if self.second:
            return [part for stage in stages for part in (stage.trunk, stage.head.body)]
        joining = [part for stage in stages for part in (stage.head.lift, stage.head.classify)]
        return [part for part in joining if part is not None]

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits of all exits; in the second part, then the frozen final answer."""
        if self.second:
            return self._together(model, shown.images)
        stages = zip(_stages(model), self.alone, strict=True)
        steps = [self._step(stage, layer) for stage, layer in stages]
        if self.settings.balanced:
            return in_equilibrium(steps, shown.images)
        state: State = (shown.images,)
        logits = []
        for step in steps:
            state, head, seen = step(state)
            logits.append(head(seen))
        return logits

    @staticmethod
    def _step(stage: CollaboratingStage, layer: nn.Module) -> Step:
        def step(state: State) -> tuple[State, Callable[[State], Tensor], State]:
            after = stage.alone(state)
            return after, lambda seen: layer(stage.head.features(seen)), after

        return step

    def _together(self, model: StagedClassifier, images: Tensor) -> list[Tensor]:
        state: State = (images,)
        logits: list[Tensor] = []
        before: Tensor | None = None
        for stage, layer in zip(_stages(model), self.alone, strict=True):
            with torch.no_grad():
                state = stage.alone(state)
                features = stage.head.features(state)
                frozen = layer(features)
            before = stage.head.joined(features, before)
            logits.append(before)
        return [*logits, frozen]

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        exits, gamma, t = len(self.weights), self.settings.gamma, self.temperature
        entropies = self._entropies(logits[:exits], target)
        if not self.second:
            return entropies.sum()
        soft = functional.softmax(logits[exits].detach() / t, dim=1)
        divergences = torch.stack([
            functional.kl_div(functional.log_softmax(z / t, dim=1), soft, reduction="none").mean()
            for z in logits[: exits - 1]
        ])  # fmt: skip
        early = (1 - gamma) * entropies[:-1] + gamma * t**2 * divergences
        return entropies[-1] + early.sum()


def _stages(model: StagedClassifier) -> list[CollaboratingStage]:
    return [cast(CollaboratingStage, stage) for stage in model.stages]
