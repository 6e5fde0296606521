"""The hierarchical feature fusion (HFF) block of HiFuse (paper, Eqs 6-10)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.heads import SpatialGate
from endoexit.models.hifuse.layers import ChannelNorm, ConvNorm, join


class ChannelGate(nn.Module):
    """Channel attention (paper, Eq 5): bias-free 1×1 convolutions on global max and mean."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.excite = nn.Conv2d(hidden, channels, 1, bias=False)

    def _score(self, pooled: Tensor) -> Tensor:
        result: Tensor = self.excite(functional.relu(self.squeeze(pooled)))
        return result

    def forward(self, x: Tensor) -> Tensor:
        """Weight the channels of x, shape (B, C, H, W)."""
        # amax and mean, not pooling layers: kernels sized from a tensor do not export.
        largest, mean = x.amax((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self._score(largest) + self._score(mean))


class InvertedResidualMLP(nn.Module):
    """IRMLP: 3×3 convolution with residual, then a 1×1 expansion and projection.

    Args:
        inputs: 3C channels.
        outputs: C channels.
        depthwise: Whether the 3×3 convolution is grouped by channel, as the HiFuse paper
            means; the published code's (and the exit paper's) is dense.
    """

    def __init__(self, inputs: int, outputs: int, *, depthwise: bool) -> None:
        super().__init__()
        groups = inputs if depthwise else 1
        self.mix = nn.Conv2d(inputs, inputs, 3, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(inputs)
        self.expand = nn.Conv2d(inputs, 4 * inputs, 1, bias=False)
        self.project = nn.Conv2d(4 * inputs, outputs, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3C, H, W) to (B, C, H, W)."""
        x = self.norm(functional.gelu(self.mix(x)) + x)
        x = functional.gelu(self.expand(x))
        result: Tensor = self.project_norm(self.project(x))
        return result


class FusionBlock(nn.Module):
    """Fuse the local map, the global map and the fused map of the scale before.

    Args:
        channels: C, of this scale.
        first: There is no fused map before it.
        depthwise: Whether the 3×3 convolution is grouped; see `InvertedResidualMLP`.
    """

    def __init__(self, channels: int, *, first: bool, depthwise: bool) -> None:
        super().__init__()
        self.local = ConvNorm(channels, channels)
        self.globe = ConvNorm(channels, channels)
        self.before = None if first else ConvNorm(channels // 2, channels)
        joined = (2 if first else 3) * channels
        self.join_norm = ChannelNorm(joined)
        self.join = ConvNorm(joined, channels)
        self.spatial = SpatialGate()
        self.channel = ChannelGate(channels)
        self.norm = ChannelNorm(3 * channels)
        self.residual = InvertedResidualMLP(3 * channels, channels, depthwise=depthwise)

    def forward(self, local: Tensor, globe: Tensor, fused: Tensor | None) -> Tensor:
        """Return the fused map.

        Args:
            local: (B, C, H, W).
            globe: (B, C, H, W), the global branch.
            fused: (B, C/2, 2H, 2W) from the scale before; None at the first.
        """
        maps = [self.local(local), self.globe(globe)]
        shortcut = None
        if self.before is not None and fused is not None:
            shortcut = functional.avg_pool2d(functional.relu(self.before(fused)), 2)
            maps.insert(0, shortcut)
        joined = functional.gelu(self.join(self.join_norm(join(*maps))))
        gated = join(self.channel(globe), self.spatial(local), joined)
        result: Tensor = self.residual(self.norm(gated))
        return result if shortcut is None else result + shortcut
