"""Means and largest values of maps, with gradients in the memory layout of the maps.

The framework's own gradients come in another layout, which all layers below then inherit.
Additions and normalisations of mixed layouts run several times slower on a CPU.
"""

from typing import Any

import torch
from torch import Tensor

_POSITIONS = (2, 3)
_CHANNELS = (1,)


class _Mean(torch.autograd.Function):
    """Mean of each channel, (B, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.like = torch.empty_like(x, device="meta")
        return x.mean(_POSITIONS)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        number = ctx.like.shape[2] * ctx.like.shape[3]
        result = torch.empty_like(ctx.like, dtype=gradient.dtype, device=gradient.device)
        return result.copy_((gradient / number)[:, :, None, None])


class _LargestAndMean(torch.autograd.Function):
    """Both at once, with one gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        # Maxima of float32 are several times faster on a CPU, and are the same.
        wide = x.float() if x.dtype is torch.bfloat16 else x
        largest = wide.amax(dims, keepdim=True).to(x.dtype)
        ctx.save_for_backward(x, largest)
        ctx.dims = dims
        return largest, x.mean(dims, keepdim=True)

    @staticmethod
    def backward(ctx: Any, of_largest: Tensor, of_mean: Tensor) -> tuple[Tensor, None]:
        x, largest = ctx.saved_tensors
        is_largest = (x == largest).to(x.dtype)
        # Equal values share the gradient, as those of `amax` do.
        count = is_largest.sum(ctx.dims, keepdim=True, dtype=torch.float32)
        share = (of_largest / count).to(x.dtype)
        number = x.numel() // largest.numel()
        return torch.addcmul(of_mean / number, is_largest, share), None


def mean_of_positions(x: Tensor) -> Tensor:
    """Return the mean of each channel of x, (B, C, H, W): (B, C)."""
    if _learns():
        result: Tensor = _Mean.apply(x)  # type: ignore[no-untyped-call]
        return result
    return x.mean(_POSITIONS)


def over_positions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest value and the mean of each channel of x, (B, C, H, W): (B, C, 1, 1)."""
    return _largest_and_mean(x, _POSITIONS)


def over_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest value and the mean at each position of x, (B, C, H, W): (B, 1, H, W)."""
    return _largest_and_mean(x, _CHANNELS)


def _largest_and_mean(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    if _learns():
        both: tuple[Tensor, Tensor] = _LargestAndMean.apply(x, dims)  # type: ignore[no-untyped-call]
        return both
    # amax and mean, not pooling layers: kernels sized from a tensor do not export.
    return x.amax(dims, keepdim=True), x.mean(dims, keepdim=True)


def _learns() -> bool:
    return torch.is_grad_enabled() and not torch.compiler.is_compiling()
