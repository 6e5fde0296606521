"""Layers shared by the branches, the fusion blocks and the exits."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of an NCHW map.

    Computed with the channels last, on the positions in a row (B, H·W, C): for a
    channels-last tensor all of that is views, and the framework's kernel is used. So
    does OpenVINO with its own, which it has for a row of positions only.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, shape (B, C, H, W)."""
        x = x.permute(0, 2, 3, 1)
        y = x.flatten(1, 2)
        y = functional.layer_norm(y, self.weight.shape, self.weight, self.bias, self.eps)
        return y.view(x.shape).permute(0, 3, 1, 2)


def norm_positions(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Normalise x, shape (B, H, W, C), over its channels; see `ChannelNorm` for how."""
    result: Tensor = norm(x.flatten(1, 2)).view(x.shape)
    return result


class MapLinear(nn.Linear):
    """A linear layer over the channels of an NCHW map."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, outputs, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def as_convolution(self) -> nn.Conv2d:
        """Return the 1×1 convolution that computes the same, with a copy of the weights."""
        layer = nn.Conv2d(self.in_features, self.out_features, 1)
        layer.weight = nn.Parameter(self.weight.detach()[:, :, None, None].clone())
        layer.bias = nn.Parameter(self.bias.detach().clone())
        return layer


class ConvNorm(nn.Module):
    """1×1 convolution with bias, then batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        result: Tensor = self.norm(self.conv(x))
        return result


class DropPath(nn.Module):
    """Stochastic depth per sample (Huang et al. 2016): drop a residual branch in training.

    Args:
        rate: Probability that a sample's branch is dropped, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Scale kept samples so that the expectation stays; identity in evaluation."""
        if not self.training or self.rate == 0.0:
            return x
        keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1.0 - self.rate)
        return x * (keep / (1.0 - self.rate))

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate:g}"


class _Join(torch.autograd.Function):
    """Concatenation whose gradients are dense.

    The framework's own hands back slices of one gradient; batch normalisation
    and additions on such strided maps run several times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, *maps: Tensor) -> Tensor:
        ctx.channels = [x.shape[1] for x in maps]
        return torch.cat(maps, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        parts = torch.split(gradients[0], ctx.channels, dim=1)
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in parts)


def join(*maps: Tensor) -> Tensor:
    """Concatenate maps (B, C_i, H, W) along the channels."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        result: Tensor = _Join.apply(*maps)  # type: ignore[no-untyped-call]
        return result
    return torch.cat(maps, dim=1)
