"""Two stages of training: the network with its final exit, then the early exits alone."""

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from endoexit.errors import UsageError
from endoexit.models.staged import Stage, StagedClassifier, State
from endoexit.training.strategies.base import Shown, Strategy, StrategySettings


class TwoStageSettings(StrategySettings):
    """CE_M for the first epochs, then Σ_{k<M} CE_k of early exits on a network that stays as it is.

    Kaya et al., ICML 2019 ("IC-only"); Teerapittayanon et al., ICPR 2016, begin so too. In the
    second part the trunk, its normalisation and the final exit are frozen, so that the final exit
    is as good as without early exits. The learning rate warms up and falls in each part.

    Attributes:
        trunk_share: Share of the epochs in which the trunk and the final exit learn.
    """

    name: Literal["two-stage"] = "two-stage"
    fewest_exits = 2
    trunk_share: float = Field(0.5, gt=0, lt=1)

    def check_epochs(self, epochs: int, patience: int | None) -> None:
        """Raise UsageError if there is no epoch for a part, or training may stop before its end."""
        if epochs < 2:
            raise UsageError(
                "the strategy two-stage needs an epoch for the trunk and one for the exits: set "
                "epochs to at least 2."
            )
        if patience is not None:
            raise UsageError(
                "the strategy two-stage cannot be stopped by patience, which may end it before the "
                "early exits have learnt: leave patience out (--set patience=null)."
            )

    def build(self, num_exits: int, label_smoothing: float) -> "TwoStage":
        """Return the strategy."""
        return TwoStage(num_exits, label_smoothing, self.trunk_share)


class TwoStage(Strategy):
    """See `TwoStageSettings`.

    Args:
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies.
        trunk_share: Share of the epochs of the first part.
    """

    rests: ClassVar[bool] = True

    def __init__(self, num_exits: int, label_smoothing: float, trunk_share: float) -> None:
        super().__init__(num_exits, label_smoothing)
        self.trunk_share = trunk_share
        self.heads_alone = False

    @property
    def keeps(self) -> bool:
        """Whether the weights of this epoch may be kept: it is one of the second part."""
        return self.heads_alone

    def parts(self, epochs: int) -> tuple[int, ...]:
        """Return the number of epochs of each part."""
        first = min(max(1, round(self.trunk_share * epochs)), epochs - 1)
        return first, epochs - first

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Learn what an epoch, counted from 1, is for."""
        super().begin_epoch(epoch, epochs)
        self.heads_alone = epoch > self.parts(epochs)[0]

    def resting(self, model: StagedClassifier) -> list[nn.Module]:
        """Return the parts of the network that do not learn in this epoch."""
        stages = [cast(Stage, stage) for stage in model.stages]
        if self.heads_alone:
            return [*(stage.trunk for stage in stages), stages[-1].head]
        return [stage.head for stage in stages[:-1]]

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits of the exits that learn: the final one, or all the others."""
        state: State = (shown.images,)
        logits = []
        last = model.num_stages
        for number, stage in enumerate(model.stages, start=1):
            if self.heads_alone and number == last:
                break
            with torch.set_grad_enabled(not self.heads_alone and torch.is_grad_enabled()):
                state, head, seen = cast(Stage, stage).opened(state)
            if self.heads_alone or number == last:
                logits.append(head(seen))
        return logits

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        learning = logits[: len(self.weights) - 1] if self.heads_alone else logits[-1:]
        return self._entropies(learning, target).sum()
