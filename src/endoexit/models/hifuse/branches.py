"""The two branches of HiFuse (Huo et al. 2024): windowed attention and convolution."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.hifuse.layers import ChannelNorm, DropPath, MapLinear, norm_positions

MASKED = -100.0  # what the published code adds to the score of a pair from other regions


def relative_position_index(window: int) -> Tensor:
    """Return which entry of the bias table a pair of positions of a window uses.

    Shape (window², window²), values in [0, (2·window - 1)²) (Liu et al., Swin).
    """
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    position = torch.stack((rows.flatten(), columns.flatten()))  # (2, N)
    offset = position[:, :, None] - position[:, None, :] + window - 1  # (2, N, N)
    return offset[0] * (2 * window - 1) + offset[1]


@functools.lru_cache(maxsize=64)
def shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """Return what is added to attention scores between regions brought together by the shift.

    Args:
        height: Height of the padded map, a multiple of `window`.
        width: Width of the padded map, a multiple of `window`.
        window: Side of a window.
        shift: Number of positions that the map was rolled.

    Returns:
        (windows, window², window²), 0 within a region and -100 across.
    """
    region = torch.zeros(height, width)
    spans = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (rows, columns) in enumerate((r, c) for r in spans for c in spans):
        region[rows, columns] = number
    region = region.view(height // window, window, width // window, window)
    region = region.transpose(1, 2).reshape(-1, window * window)
    return (region[:, None, :] != region[:, :, None]).float() * MASKED


def shift_map(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return the map (B, H, W, C) shifted cyclically; positive moves down and right."""
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return torch.roll(x, (rows, columns), (1, 2))
    # A traced graph gets slices: OpenVINO rolls element by element, with a reference kernel.
    for dim, shift in ((1, rows), (2, columns)):
        cut = -shift % x.shape[dim]
        x = torch.cat((x.narrow(dim, cut, x.shape[dim] - cut), x.narrow(dim, 0, cut)), dim)
    return x


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with relative position bias.

    Args:
        channels: C.
        heads: Number of heads; must divide C.
        window: Side of a window; N = window² positions attend to each other.
    """

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("index", relative_position_index(window).flatten(), persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.softmax = nn.Softmax(dim=-1)
        self.project = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within windows.

        Args:
            x: (B, windows, N, C).
            mask: (windows, N, N), added to the scores; None for no mask.
        """
        batch, windows, n, channels = x.shape
        size = channels // self.heads
        qkv = self.qkv(x).view(batch, windows, n, 3, self.heads, size)
        # Windows and heads in one dimension: engines fuse attention in four dimensions only.
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)  # (B, windows · heads, N, size)
        bias = self.bias_table[self.index].view(n, n, self.heads).permute(2, 0, 1)
        if mask is not None:
            bias = bias + mask.unsqueeze(1)  # (windows, heads, N, N)
        bias = bias.expand(windows, self.heads, n, n).flatten(0, 1)
        mixed = self.softmax((q * size**-0.5) @ k.transpose(-2, -1) + bias).to(v.dtype) @ v
        mixed = mixed.unflatten(1, (windows, self.heads)).transpose(2, 3)
        mixed = mixed.reshape(batch, windows, n, channels)
        result: Tensor = self.project(mixed)
        return result


class GlobalBlock(nn.Module):
    """LayerNorm, (shifted) window attention, Linear, GELU, residual (paper, Eqs 1-2).

    There is no MLP: the published block builds a second normalisation that it
    never runs, which is left out here.
    """

    def __init__(
        self, channels: int, heads: int, window: int, *, shifted: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.norm = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.linear = nn.Linear(channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        batch, height, width, channels = x.shape
        window = self.window
        # Padding comes after the normalisation, so that padded positions are zero.
        down, right = -height % window, -width % window
        y = functional.pad(norm_positions(self.norm, x), (0, 0, 0, right, 0, down))
        padded_height, padded_width = height + down, width + right
        mask = None
        if self.shift:
            y = shift_map(y, -self.shift, -self.shift)
            mask = shift_mask(padded_height, padded_width, window, self.shift)
            mask = mask.to(y.device, y.dtype)
        rows, columns = padded_height // window, padded_width // window
        y = y.view(batch, rows, window, columns, window, channels).transpose(2, 3)
        y = y.reshape(batch, rows * columns, window * window, channels)
        y = self.attention(y, mask)
        y = y.view(batch, rows, columns, window, window, channels).transpose(2, 3)
        y = y.reshape(batch, padded_height, padded_width, channels)
        if self.shift:
            y = shift_map(y, self.shift, self.shift)
        y = functional.gelu(self.linear(y[:, :height, :width]))
        result: Tensor = x + self.drop_path(y)
        return result


class PatchMerging(nn.Module):
    """Halve the map: concatenate 2×2 neighbours, LayerNorm, Linear 4C → 2C."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H/2, W/2, 2C); H and W are even."""
        # The order (0,0), (1,0), (0,1), (1,1) of (row, column) is the published weights'.
        parts = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        result: Tensor = self.reduce(norm_positions(self.norm, torch.cat(parts, dim=-1)))
        return result


class PatchEmbedding(nn.Module):
    """4×4 convolution with stride 4, then LayerNorm; output with the channels last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 4, stride=4)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, H/4, W/4, C)."""
        return norm_positions(self.norm, self.conv(images).permute(0, 2, 3, 1))


class LocalBlock(nn.Module):
    """3×3 depthwise convolution, LayerNorm, Linear, GELU, residual (paper, Eq 3)."""

    def __init__(self, channels: int, *, drop_path: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = ChannelNorm(channels)
        self.linear = MapLinear(channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = functional.gelu(self.linear(self.norm(self.depthwise(x))))
        result: Tensor = x + self.drop_path(y)
        return result


class LocalStem(nn.Sequential):
    """4×4 convolution with stride 4, then LayerNorm over the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(3, channels, 4, stride=4), ChannelNorm(channels))


class LocalDownsample(nn.Sequential):
    """LayerNorm over the channels, then 2×2 convolution with stride 2, C → 2C."""

    def __init__(self, channels: int) -> None:
        super().__init__(ChannelNorm(channels), nn.Conv2d(channels, 2 * channels, 2, stride=2))
