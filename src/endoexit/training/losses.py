"""The loss of all exits together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.training.recipe import LossSettings


class MultiExitLoss(nn.Module):
    """Weighted sum of the exits' cross entropies, with optional self-distillation.

    Without distillation: Σ_k w_k CE_k; with all weights 1 this is the paper's
    Eq 14. With it (Phuong & Lampert 2019):
    (1 - α) Σ_k w_k CE_k + α T² Σ_{k<M} w_k H(softmax(z_M / T), softmax(z_k / T)),
    the teacher z_M detached; T starts at 1 and grows by 5 % whenever the
    teacher's mean top probability passes 0.5 at temperature T.

    Args:
        settings: Settings of the recipe.
        num_exits: M.

    Raises:
        UsageError: Not one positive weight an exit.
    """

    weights: Tensor
    temperature: Tensor

    def __init__(self, settings: LossSettings, num_exits: int) -> None:
        super().__init__()
        weights = settings.exit_weights or (1.0,) * num_exits
        if len(weights) != num_exits or min(weights) < 0 or weights[-1] == 0:
            raise UsageError(
                f"loss.exit_weights must be {num_exits} numbers, one an exit, none negative and "
                f"the last above 0; got {list(weights)}."
            )
        self.label_smoothing = settings.label_smoothing
        self.alpha = settings.distillation if num_exits > 1 else 0.0
        self.register_buffer("weights", torch.tensor(weights))
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, logits: Sequence[Tensor], target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: Logits of each exit, (batch, classes).
            target: Class indices (batch,), or probabilities (batch, classes).
        """
        # Autocast would round the sum to 8 bits.
        with torch.autocast(logits[0].device.type, enabled=False):
            return self._forward([z.float() for z in logits], target)

    def _forward(self, logits: Sequence[Tensor], target: Tensor) -> Tensor:
        terms = [
            functional.cross_entropy(z, target, label_smoothing=self.label_smoothing)
            for z in logits
        ]
        loss = torch.stack(terms) @ self.weights
        if not self.alpha:
            return loss
        return (1 - self.alpha) * loss + self.alpha * self._distillation(logits)

    def _distillation(self, logits: Sequence[Tensor]) -> Tensor:
        teacher = logits[-1].detach()
        t = self.temperature
        soft = functional.softmax(teacher / t, dim=1)
        terms = [functional.cross_entropy(z / t, soft) for z in logits[:-1]]
        loss = t**2 * (torch.stack(terms) @ self.weights[:-1])
        if self.training and bool(soft.amax(1).mean() > 0.5):
            self.temperature = t * 1.05
        return loss
