"""Distillation from another run: a trained network teaches the exits of this one."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from endoexit.errors import UsageError
from endoexit.models.staged import StagedClassifier
from endoexit.training.strategies.base import (
    Shown,
    Strategy,
    StrategySettings,
    softened_entropy,
)
from endoexit.training.strategies.hints import Hints, seen_by_exits
from endoexit.training.strategies.weights import ExitWeights

NAME: Literal["distil"] = "distil"


class DistilSettings(StrategySettings):
    """Σ_k w_k [(1 − α) CE_k + α T² H(softmax(z_T / T), softmax(z_k / T))], z_T of another run.

    Hinton, Vinyals & Dean 2015, at every exit. z_T are the logits of the teacher's final exit or,
    exit by exit, those of its exit k. The teacher sees the same view of each image as the
    network (the same crop, turn, colours and mixture) at its own size and with its own
    normalisation. H is a cross entropy. An exit that the teacher does not teach has w_k CE_k.

    Attributes:
        teacher: Folder of the run that teaches; its size and preprocessing are its own.
        exit_by_exit: Whether exit k learns from the teacher's exit k, of which it must have as
            many; otherwise its final exit teaches all.
        alpha: Share α of the distillation; 0 for the joint sum.
        temperature: Temperature T.
        exits: Numbers of the exits that the teacher teaches, from 1; null for all.
        weights: Weights of the exits w_k; see `WeightedSettings`.
        hints: Factor β of the sum of hints that is added, which lets the maps of the exits follow
            the teacher's; see `Hints`. 0 for none.
    """

    name: Literal["distil"] = NAME
    teacher: str = Field(min_length=1)
    exit_by_exit: bool = False
    alpha: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(2.0, gt=0)
    exits: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    weights: ExitWeights = "equal"
    hints: float = Field(0.0, ge=0)

    def check(self, num_exits: int) -> None:
        """Raise UsageError if the teacher is to teach an exit that the network lacks."""
        super().check(num_exits)
        wrong = [k for k in self.exits or () if not 1 <= k <= num_exits]
        if wrong:
            raise UsageError(
                f"strategy.exits names exit {wrong[0]}, but this network has exits 1 to "
                f"{num_exits}: correct it, or leave it out to teach all exits."
            )

    def build(self, num_exits: int, label_smoothing: float) -> "Distillation":
        """Return the strategy."""
        return Distillation(self, num_exits, label_smoothing)


class Distillation(Strategy):
    """See `DistilSettings`.

    Args:
        settings: Settings of the recipe.
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies with the labels.
    """

    def __init__(
        self, settings: DistilSettings, num_exits: int, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(num_exits, label_smoothing, settings.weights, settings.temperature)
        taught = settings.exits or range(1, num_exits + 1)
        self.exit_by_exit = settings.exit_by_exit
        shares = [settings.alpha if k in taught else 0.0 for k in range(1, num_exits + 1)]
        self.register_buffer("shares", torch.tensor(shares), persistent=False)
        self.factor = settings.hints
        self.hints: Hints | None = None

    shares: Tensor

    @property
    def needs_maps(self) -> bool:
        """Whether there are hints."""
        return self.factor > 0

    def follow(
        self, model: StagedClassifier, size: int, teacher: StagedClassifier, teacher_size: int
    ) -> None:
        """Make the regressions of the hints, if there are any; see `Hints`.

        Raises:
            UsageError: The teacher's exits cannot teach those of the network.
        """
        ours, theirs = model.num_stages, teacher.num_stages
        if self.exit_by_exit and ours != theirs:
            raise UsageError(
                f"exit by exit a teacher must have as many exits as the network, {ours}, but it "
                f"has {theirs}: leave out strategy.exit_by_exit, and its final exit teaches all."
            )
        if self.needs_maps:
            self.hints = Hints(model, size, teacher, teacher_size)

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits of all exits, each (batch, classes), then the hints, if any."""
        if self.hints is None:
            return super().answers(model, shown)
        logits, maps = seen_by_exits(model, shown.images)
        return [*logits, *self.hints(maps, shown.taught)]

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        if teacher is None:
            raise UsageError("the strategy distil needs the answers of a teacher: name its run.")
        t = self.temperature
        hints = logits[len(self.weights) :]
        logits = logits[: len(self.weights)]
        hard = self._entropies(logits, target)
        taught = teacher if self.exit_by_exit else teacher[-1:].expand(len(logits), -1, -1)
        pairs = zip(taught, logits, strict=True)
        soft = torch.stack([softened_entropy(known, z, t) for known, z in pairs])
        shares, weights = self.shares.to(hard.dtype), self.weights.to(hard.dtype)
        loss = ((1 - shares) * hard + shares * t**2 * soft) @ weights
        return loss + self.factor * torch.stack(hints).sum() if hints else loss
