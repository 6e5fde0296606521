"""Exit heads by name, for any map that a network hands to its exits."""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from endoexit.errors import UsageError, unknown_name
from endoexit.models.bag_of_features import LogisticBoF
from endoexit.models.heads import CbamHead
from endoexit.models.layers import GlobalMean
from endoexit.models.msdnet.network import MSDNetHead
from endoexit.models.staged import State

Shape = tuple[int, ...]

# The first exit reads a map that knows little yet: a head whose layers see neighbours finds more in
# it. Later exits gain nothing by that. docs/networks.md has the comparison.
AUTO = "auto"
_AUTO_FIRST, _AUTO_LATER = "rdi", "conv"


class AsMap(nn.Module):
    """Turns maps with the channels last, tokens and vectors into maps (B, C, H, W).

    Tokens become a square map where their number is a square, else one column.

    Args:
        shape: Shape of what comes in, without the batch: (C, H, W), (H, W, C), (tokens, C), (C,).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.kind = _kind(shape)
        side = math.isqrt(shape[0])
        self.side = side if side * side == shape[0] else 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the map."""
        if self.kind == "channels last":
            return x.permute(0, 3, 1, 2)
        if self.kind == "tokens":
            x = x.transpose(1, 2)
            return x.reshape(*x.shape[:2], self.side, self.side) if self.side else x.unsqueeze(3)
        return x[:, :, None, None] if self.kind == "vector" else x

    def channels(self, shape: Shape) -> int:
        """Return the number of channels C."""
        return shape[-1] if self.kind in {"channels last", "tokens"} else shape[0]


def _kind(shape: Shape) -> str:
    if len(shape) == 3:
        return "channels last" if shape[0] == shape[1] != shape[2] else "map"
    if len(shape) in {1, 2}:
        return "vector" if len(shape) == 1 else "tokens"
    raise UsageError(f"an exit cannot read tensors of shape {shape} (without the batch).")


class MapHead(nn.Module):
    """An exit head on the last tensor of a state, whatever its layout.

    Args:
        shape: Shape of that tensor without the batch.
        inner: Head that reads a map (B, C, H, W), or layers that do.
        takes_state: Whether the inner head takes a state instead of a map.
    """

    def __init__(self, shape: Shape, inner: nn.Module, *, takes_state: bool = False) -> None:
        super().__init__()
        self.as_map, self.inner, self.takes_state = AsMap(shape), inner, takes_state

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes)."""
        x = self.as_map(state[-1])
        result: Tensor = self.inner((x,) if self.takes_state else x)
        return result

    @property
    def attention_kind(self) -> str:
        """Kind of what the inner head tells: "cbam", or "attention" for any other."""
        return str(getattr(self.inner, "attention_kind", "attention"))

    def attention_map(self, state: State) -> Tensor | None:
        """Return where the inner head looks, (B, H, W); None where it has no attention."""
        if not isinstance(self.inner, CbamHead):
            return None
        return self.inner.attention_map((self.as_map(state[-1]),))


class MixedPool(nn.Module):
    """SDN's pool (Kaya et al. 2019): a learned mix of maximum and mean.

    Args:
        region: Side r of the regions; 1 changes nothing.
    """

    def __init__(self, region: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.rand(()))
        self.largest, self.mean = nn.MaxPool2d(region), nn.AvgPool2d(region)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H // r, W // r)."""
        mixed: Tensor = self.share * self.largest(x) + (1 - self.share) * self.mean(x)
        return mixed


def _linear(channels: int, _: Shape, classes: int, *, dropout: float = 0.0) -> nn.Module:
    """Return the global mean and one linear layer."""
    return nn.Sequential(GlobalMean(), nn.Dropout(dropout), nn.Linear(channels, classes))


def _conv(
    channels: int, _: Shape, classes: int, *, width: int = 256, dropout: float = 0.2
) -> nn.Module:
    """Return a 1×1 convolution to `width`, the global mean, dropout and one linear layer."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(),
        GlobalMean(), nn.Dropout(dropout), nn.Linear(width, classes),
    )  # fmt: skip


def _cbam(
    channels: int, _: Shape, classes: int, *, blocks: int = 3, reduction: int = 16
) -> nn.Module:
    """Return the head of EE-HiFuse: CBAM blocks, the global mean, one linear layer."""
    return CbamHead(channels, classes, blocks=blocks, reduction=reduction)


def _msdnet(channels: int, _: Shape, classes: int, *, width: int = 128) -> nn.Module:
    """Return MSDNet's head: two convolutions of stride 2, the global mean, one linear layer."""
    return MSDNetHead(channels, width, classes)


def _sdn(channels: int, shape: Shape, classes: int) -> nn.Module:
    """Return SDN's head: a learned mix of pools, then one linear layer on all pixels left."""
    height, width = shape
    region = max(1, min(height, width) // 4)
    pixels = channels * (height // region) * (width // region)
    return nn.Sequential(MixedPool(region), nn.Flatten(), nn.Linear(pixels, classes))


def _bof(channels: int, _: Shape, classes: int, *, codewords: int = 64) -> nn.Module:
    """Return a logistic Bag-of-Features histogram of the map and one linear layer."""
    return nn.Sequential(LogisticBoF(channels, codewords), nn.Linear(codewords, classes))


def _rdi(channels: int, shape: Shape, classes: int, *, width: int = 64) -> nn.Module:
    """Return the head of RDI-ResNet's first exits; maps too small for its pools keep their size."""
    pools = [nn.MaxPool2d(2) if min(shape) >= 2**i else nn.Identity() for i in (1, 2)]
    return nn.Sequential(
        pools[0], nn.Conv2d(channels, width, 5, padding=2, bias=False), nn.BatchNorm2d(width),
        nn.ReLU(), pools[1], nn.Conv2d(width, width // 2, 3, padding=1, bias=False),
        nn.BatchNorm2d(width // 2), GlobalMean(), nn.Linear(width // 2, classes),
    )  # fmt: skip


HEADS: dict[str, Callable[..., nn.Module]] = {
    "bof": _bof,
    "cbam": _cbam,
    "conv": _conv,
    "linear": _linear,
    "msdnet": _msdnet,
    "rdi": _rdi,
    "sdn": _sdn,
}
_TAKE_STATE = {"cbam", "msdnet"}


def head_settings(name: str) -> tuple[str, ...]:
    """Return the names of the settings of a head.

    Raises:
        UsageError: No head of that name; the nearest is named.
    """
    if name not in HEADS:
        raise unknown_name("exit head", name, HEADS)
    parameters = inspect.signature(HEADS[name]).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def heads_of(head: str, exits: int) -> tuple[str, ...]:
    """Return the names of the heads of so many early exits.

    Args:
        head: One name for all exits, or one for each exit with commas between them; "auto" for
            `rdi` at the first exit and `conv` at the others.
        exits: Number of early exits.

    Raises:
        UsageError: Another number of names, or no head of a name (the nearest is named).
    """
    if head == AUTO:
        return (_AUTO_FIRST, *[_AUTO_LATER] * (exits - 1))[:exits]
    names = head_names(head)
    if len(names) not in {1, exits}:
        raise UsageError(
            f"{len(names)} exit heads ({head}) for {exits} early exits: name one for all, or one "
            "for each."
        )
    return names * exits if len(names) == 1 else names


def head_names(head: str) -> tuple[str, ...]:
    """Return the names in a list with commas between them; those that "auto" may give for it.

    Raises:
        UsageError: No head of a name; the nearest is named.
    """
    if head == AUTO:
        return _AUTO_FIRST, _AUTO_LATER
    names = tuple(name.strip() for name in head.split(","))
    for name in names:
        head_settings(name)
    return names


def require_settings(head: str, settings: Iterable[str]) -> None:
    """Refuse a setting that none of the heads has.

    Raises:
        UsageError: No such head or setting; the nearest is named.
    """
    known = tuple(dict.fromkeys(s for name in head_names(head) for s in head_settings(name)))
    for setting in settings:
        if setting not in known:
            raise unknown_name(f"setting of the head {head}", setting, known)


def make_head(
    name: str, shape: Shape, num_classes: int, settings: dict[str, Any] | None = None
) -> MapHead:
    """Return a freshly initialised exit head.

    Args:
        name: Name in `HEADS`.
        shape: Shape of the tensor that it reads, without the batch; see `AsMap`.
        num_classes: Number of classes C.
        settings: Settings of the head that differ from its defaults.

    Raises:
        UsageError: No such head or setting (the nearest is named).
    """
    given = settings or {}
    require_settings(name, given)
    as_map = AsMap(shape)
    channels = as_map.channels(shape)
    sides = tuple(as_map(torch.empty(1, *shape, device="meta")).shape[2:])
    inner = HEADS[name](channels, sides, num_classes, **given)
    return MapHead(shape, inner, takes_state=name in _TAKE_STATE)
