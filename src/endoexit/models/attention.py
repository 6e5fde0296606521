"""Where a network looks: spatial attention of its exit heads, Grad-CAM for those without."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from endoexit.models.staged import StagedClassifier, State

Maps = NDArray[np.float32]
Kind = Literal["cbam", "grad-cam"]


def exit_attention(model: StagedClassifier, images: Tensor) -> list[tuple[Maps, Kind]]:
    """Return what each exit of a network looks at.

    A head that has spatial attention tells it itself. Other heads get Grad-CAM of their answer.

    Args:
        model: Network in evaluation mode.
        images: Batch (B, 3, H, W), normalised.

    Returns:
        For each exit its maps, float32 (B, h, w), at least 0, and their kind: "cbam" for the
        product of the spatial attention of the head's CBAM blocks, "grad-cam" for the evidence
        for the exit's answer where there are none.
    """
    looked: list[tuple[Maps, Kind]] = []
    state: State = (images,)
    for stage in model.stages:
        with torch.no_grad():
            state, _ = stage(state)
            looks = stage.attention(state)  # type: ignore[operator]
        if looks is not None:
            looked.append((looks.float().numpy(), "cbam"))
        else:
            cam = grad_cam(stage.head, state)  # type: ignore[arg-type]
            looked.append((cam.float().numpy(), "grad-cam"))
    return looked


def grad_cam(head: nn.Module, state: State) -> Tensor:
    """Return where the evidence for a head's answer is (Grad-CAM, Selvaraju et al. 2017).

    The map is ReLU(Σ_c w_c A_c), A the channels of the last map of the state that the answer
    depends on and w_c the mean over positions of the gradient of the largest logit with respect
    to A_c. Without such a map it is one zero: the head looks at no position.

    Args:
        head: Exit head, which turns a state into logits (B, C).
        state: Input of the head.

    Returns:
        Maps (B, h, w).
    """
    inputs = tuple(tensor.detach().requires_grad_() for tensor in state)
    maps = [tensor for tensor in inputs if tensor.ndim == 4]
    gradients: tuple[Tensor | None, ...] = ()
    if maps:
        with torch.enable_grad():
            largest = head(inputs).amax(dim=1).sum()  # images do not mix: one pass
            gradients = torch.autograd.grad(largest, maps, allow_unused=True)
    for seen, gradient in zip(reversed(maps), reversed(gradients), strict=True):
        if gradient is not None:
            weights = gradient.mean(dim=(2, 3), keepdim=True)
            return (weights * seen.detach()).sum(dim=1).relu()
    return torch.zeros(len(state[0]), 1, 1)
