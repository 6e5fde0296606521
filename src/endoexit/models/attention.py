"""Where a network looks: spatial attention of its exit heads, Grad-CAM for those without."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from endoexit.models.exit_heads import AsMap
from endoexit.models.staged import StagedClassifier, State

Maps = NDArray[np.float32]

MOST_CLASS_TOKENS = 2


def exit_attention(model: StagedClassifier, images: Tensor) -> list[tuple[Maps, str]]:
    """Return what each exit of a network looks at.

    A head that has spatial attention tells it itself, by a method `attention_map(state)`; its
    attribute `attention_kind` names what that is, "attention" where it has none. Other heads get
    Grad-CAM of their answer.

    Args:
        model: Network in evaluation mode.
        images: Batch (B, 3, H, W), normalised.

    Returns:
        For each exit its maps, float32 (B, h, w), at least 0, and their kind: that of the head's
        attention, or "grad-cam" for the evidence for the exit's answer where there is none.
    """
    looked: list[tuple[Maps, str]] = []
    state: State = (images,)
    for stage in model.stages:
        with torch.no_grad():
            state, head, seen = stage.opened(state)  # type: ignore[operator]
            attention_map = getattr(head, "attention_map", None)
            looks = None if attention_map is None else attention_map(seen)
        if looks is not None:
            kind = str(getattr(head, "attention_kind", "attention"))
            looked.append((looks.float().numpy(), kind))
        else:
            looked.append((grad_cam(head, seen).float().numpy(), "grad-cam"))
    return looked


def grad_cam(head: nn.Module, state: State) -> Tensor:
    """Return where the evidence for a head's answer is (Grad-CAM, Selvaraju et al. 2017).

    The map is ReLU(Σ_c w_c A_c), A the channels of the last map of the state that the answer
    depends on and w_c the mean over positions of the gradient of the largest logit with respect
    to A_c. Tokens of a square grid are a map; a class token before them is none of its positions.
    Without such a map it is one zero: the head looks at no position.

    Args:
        head: Exit head, which turns a state into logits (B, C).
        state: Input of the head.

    Returns:
        Maps (B, h, w).
    """
    inputs = tuple(tensor.detach().requires_grad_() for tensor in state)
    maps = [tensor for tensor in inputs if _as_map(tensor) is not None]
    gradients: tuple[Tensor | None, ...] = ()
    if maps:
        with torch.enable_grad():
            largest = head(inputs).amax(dim=1).sum()  # images do not mix: one pass
            gradients = torch.autograd.grad(largest, maps, allow_unused=True)
    for seen, gradient in zip(reversed(maps), reversed(gradients), strict=True):
        if gradient is not None:
            slopes, values = _as_map(gradient), _as_map(seen.detach())
            assert slopes is not None  # noqa: S101  (it has the shape of a map)
            assert values is not None  # noqa: S101
            weights = slopes.mean(dim=(2, 3), keepdim=True)
            return (weights * values).sum(dim=1).relu()
    return torch.zeros(len(state[0]), 1, 1)


def _as_map(tensor: Tensor) -> Tensor | None:
    """Return a tensor of a state as (B, C, H, W); None where it has no positions of an image."""
    if tensor.ndim == 3:
        count = tensor.shape[1]
        first = count - math.isqrt(count) ** 2  # tokens before the grid: of the class, registers
        if first > MOST_CLASS_TOKENS or count == first:
            return None
        tensor = tensor[:, first:]
    elif tensor.ndim != 4:
        return None
    shape = tuple(tensor.shape[1:])
    result: Tensor = AsMap(shape)(tensor)
    return result
