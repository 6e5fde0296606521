"""Where a network looks: spatial attention of its exit heads, Grad-CAM for those without."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from endoexit.artifacts.bundle import Source
from endoexit.models.heads import CbamHead
from endoexit.models.hifuse.network import HiFuse
from endoexit.models.staged import StagedClassifier, State
from endoexit.report.material import ExitAttention

BATCH_SIZE = 8


class TorchNetwork:
    """The network of a run, or of a bundle in PyTorch; its weights are loaded when first asked.

    Args:
        run: with weights.
    """

    def __init__(self, run: Source) -> None:
        self._run = run

    @cached_property
    def model(self) -> StagedClassifier:
        """The network, in evaluation mode."""
        return self._run.load_model()

    def attention(self, images: NDArray[np.uint8]) -> list[ExitAttention]:
        """Return what each exit looks at; see `Network`."""
        found = [exit_attention(self.model, batch) for batch in self._batches(images)]
        return [
            ExitAttention(np.concatenate([one.maps for one in exits]), exits[0].kind)
            for exits in zip(*found, strict=True)
        ]

    def _batches(self, images: NDArray[np.uint8]) -> list[Tensor]:
        preprocessing = self._run.config.preprocessing
        return [
            torch.from_numpy(preprocessing.normalise(images[start : start + BATCH_SIZE]))
            for start in range(0, len(images), BATCH_SIZE)
        ]


def exit_attention(model: StagedClassifier, images: Tensor) -> list[ExitAttention]:
    """Return what each exit of a network looks at.

    For a head with CBAM blocks it is the product of their spatial attention: the weight, apart
    from the channels', with which each position enters the exit's average. Other heads get
    Grad-CAM of their own answer.

    Args:
        model: in evaluation mode.
        images: (B, 3, H, W), normalised.
    """
    with torch.no_grad():
        blocks = iter(model.spatial_attention(images) if isinstance(model, HiFuse) else ())
    found = []
    state: State = (images,)
    for stage in model.stages:
        with torch.no_grad():
            for part in _trunk(stage):
                state = part(state)
        head: Any = stage.head
        if isinstance(head, CbamHead):
            maps = next(blocks)
            if maps:
                together = torch.stack(maps).prod(dim=0)[:, 0]
                found.append(ExitAttention(together.float().numpy(), "cbam"))
                continue
        found.append(ExitAttention(grad_cam(head, state).float().numpy(), "grad-cam"))
    return found


def _trunk(stage: nn.Module) -> nn.ModuleList:
    trunk = stage.trunk
    assert isinstance(trunk, nn.ModuleList)  # noqa: S101  (what a Stage is made of)
    return trunk


def grad_cam(head: nn.Module, state: State) -> Tensor:
    """Return where the evidence for a head's answer is (Grad-CAM, Selvaraju et al. 2017).

    The map is ReLU(Σ_c w_c A_c), A the channels of the state's last tensor (the fused map) and
    w_c the mean over positions of the gradient of the largest logit with respect to A_c.

    Args:
        head: turns a state into logits (B, C).
        state: its input; the last tensor is (B, channels, h, w).

    Returns:
        Shape (B, h, w).
    """
    fused = state[-1].detach().requires_grad_()
    with torch.enable_grad():
        largest = head((*state[:-1], fused)).amax(dim=1).sum()  # images do not mix: one pass
        (gradient,) = torch.autograd.grad(largest, fused)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * fused.detach()).sum(dim=1).relu()
