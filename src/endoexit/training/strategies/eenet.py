"""The multi-exit loss of EENet: later exits count more, and teach the others at the end."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from endoexit.training.strategies.base import Strategy, StrategySettings
from endoexit.training.strategies.weights import ExitWeights


class EENetSettings(StrategySettings):
    """Σ_k w_k CE_k + α T² Σ_{k<M} mean(p_M (ln p_M − ln p_k)), the second sum at the end only.

    Ilhan et al., WACV 2024, as their code has it: p are softmax(z / T), the mean is over images and
    classes, and the final exit gets a gradient from the second sum as well.

    Attributes:
        weights: Weights of the exits w_k; theirs, "eenet", are k / (M (M + 1)).
        alpha: Factor α of the distillation; 0 for none.
        temperature: Temperature T.
        after: Share of the epochs after which the distillation begins.
    """

    name: Literal["eenet"] = "eenet"
    fewest_exits = 2
    weights: ExitWeights = "eenet"
    alpha: float = Field(0.01, ge=0)
    temperature: float = Field(3.0, gt=0)
    after: float = Field(0.75, ge=0, le=1)

    def build(self, num_exits: int, label_smoothing: float) -> "EENetLoss":
        """Return the strategy."""
        return EENetLoss(self, num_exits, label_smoothing)


class EENetLoss(Strategy):
    """See `EENetSettings`.

    Args:
        settings: Settings of the recipe.
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of the cross entropies with the labels.
    """

    def __init__(
        self, settings: EENetSettings, num_exits: int, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(num_exits, label_smoothing, settings.weights, settings.temperature)
        self.alpha, self.after = settings.alpha, settings.after
        self.distils = False

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Take the weights of an epoch, counted from 1, and begin to distil late."""
        super().begin_epoch(epoch, epochs)
        self.distils = epoch - 1 > self.after * epochs

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        loss = self._joint(logits, target)
        if not self.distils or not self.alpha:
            return loss
        t = self.temperature
        last = functional.softmax(logits[-1] / t, dim=1)
        for z in logits[:-1]:
            ours = functional.log_softmax(z / t, dim=1)
            loss = loss + self.alpha * t**2 * functional.kl_div(ours, last, reduction="none").mean()
        return loss
