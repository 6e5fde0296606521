"""What strategies share that train a network in two parts: the trunk, then layers of exits."""

from typing import ClassVar

from pydantic import Field

from endoexit.errors import UsageError
from endoexit.training.strategies.base import Strategy, StrategySettings
from endoexit.training.strategies.weights import ExitWeights


class TwoPartSettings(StrategySettings):
    """Settings of a training in two parts; the learning rate warms up and falls in each.

    Attributes:
        trunk_share: Share of the epochs of the first part.
    """

    fewest_exits = 2
    trunk_share: float = Field(0.5, gt=0, lt=1)

    def check_epochs(self, epochs: int, patience: int | None) -> None:
        """Raise UsageError if there is no epoch for a part, or training may stop before its end."""
        if epochs < 2:
            raise UsageError(
                f"the strategy {self.name} needs an epoch for the trunk and one for the exits: set "
                "epochs to at least 2."
            )
        if patience is not None:
            raise UsageError(
                f"the strategy {self.name} cannot be stopped by patience, which may end it before "
                "the exits have learnt: leave patience out (--set patience=null)."
            )


class TwoParts(Strategy):
    """A training in two parts; weights of the second alone are kept.

    Args:
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies.
        trunk_share: Share of the epochs of the first part.
        weights: Weights of the exits w_k.
        temperature: Temperature of softened answers.
    """

    rests: ClassVar[bool] = True

    def __init__(
        self,
        num_exits: int,
        label_smoothing: float,
        trunk_share: float,
        weights: ExitWeights = "equal",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(num_exits, label_smoothing, weights, temperature)
        self.trunk_share = trunk_share
        self.second = False

    @property
    def keeps(self) -> bool:
        """Whether the weights of this epoch may be kept: it is one of the second part."""
        return self.second

    def parts(self, epochs: int) -> tuple[int, ...]:
        """Return the number of epochs of each part."""
        first = min(max(1, round(self.trunk_share * epochs)), epochs - 1)
        return first, epochs - first

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Learn which part an epoch, counted from 1, belongs to."""
        super().begin_epoch(epoch, epochs)
        self.second = epoch > self.parts(epochs)[0]
