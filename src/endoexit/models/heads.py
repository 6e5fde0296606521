"""Exit heads: what turns a fused map into logits."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.staged import State

OPEN = 3.0  # sigmoid(3) = 0.95


class SpatialGate(nn.Module):
    """Spatial attention (paper, Eq 4): 7×7 convolution over channel max and mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def attention(self, x: Tensor) -> Tensor:
        """Return the attention map in (0, 1), shape (B, 1, H, W)."""
        summary = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.norm(self.conv(summary)))

    def forward(self, x: Tensor) -> Tensor:
        """Weight the positions of x, shape (B, C, H, W)."""
        return x * self.attention(x)


class Cbam(nn.Module):
    """Convolutional block attention module (Woo et al. 2018; paper, Eqs 11-12).

    Args:
        channels: C.
        reduction: Factor of the hidden layer of the channel attention: C / reduction units.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)
        self.spatial = SpatialGate()
        # Gates start open. With the usual zero biases each block halves the signal twice,
        # and behind three blocks an exit learns nothing in its first epochs.
        nn.init.constant_(self.excite.bias, OPEN / 2)  # counted twice, for mean and maximum
        nn.init.constant_(self.spatial.norm.bias, OPEN)

    def _score(self, pooled: Tensor) -> Tensor:
        result: Tensor = self.excite(functional.relu(self.squeeze(pooled)))
        return result

    def channels(self, x: Tensor) -> Tensor:
        """Weight the channels of x, shape (B, C, H, W)."""
        scores = self._score(x.mean((2, 3))) + self._score(x.amax((2, 3)))
        return x * torch.sigmoid(scores)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Weight channels, then positions, of x, shape (B, C, H, W)."""
        result: Tensor = self.spatial(self.channels(x))
        return result


class CbamHead(nn.Module):
    """The paper's exit: CBAM blocks, global average pool, one fully connected layer.

    Args:
        channels: Number of channels of the fused map.
        num_classes: C.
        blocks: Number of CBAM blocks (the paper: 3).
        reduction: Reduction of their channel attention (16).
    """

    attention_kind = "cbam"

    def __init__(self, channels: int, num_classes: int, *, blocks: int, reduction: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(*(Cbam(channels, reduction) for _ in range(blocks)))
        self.classify = nn.Linear(channels, num_classes)

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes) from the state's last tensor, the fused map."""
        result: Tensor = self.classify(self.attention(state[-1]).mean((2, 3)))
        return result

    def gates(self, state: State) -> list[Tensor]:
        """Return the spatial attention of each block, shape (B, 1, H, W), values in (0, 1)."""
        maps: list[Tensor] = []
        x = state[-1]
        for block in self.attention:
            assert isinstance(block, Cbam)  # noqa: S101  (what this head is made of)
            x = block.channels(x)
            maps.append(block.spatial.attention(x))
            x = x * maps[-1]
        return maps

    def attention_map(self, state: State) -> Tensor | None:
        """Return the product of the blocks' spatial attention; None without blocks.

        It is the weight, apart from the channels', with which each position enters the average.
        """
        maps = self.gates(state)
        return torch.stack(maps).prod(dim=0)[:, 0] if maps else None


class FinalClassifier(nn.Module):
    """HiFuse's own classifier: global average pool, LayerNorm, one fully connected layer."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.classify = nn.Linear(channels, num_classes)

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes) from the state's last tensor, the fused map."""
        result: Tensor = self.classify(self.norm(state[-1].mean((2, 3))))
        return result
