"""MSDNet as a staged classifier, one stage a block."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from endoexit.models.layers import GlobalMean, conv_norm_relu, initialise_convolutions
from endoexit.models.msdnet.config import MSDNetConfig, Place
from endoexit.models.staged import Stage, StagedClassifier, State


class Cell(nn.Module):
    """One layer at one scale: new maps from this scale and from the finer one, appended.

    Args:
        config: Settings of the network.
        layer: Number of the layer, from 1.
        scale: Number of the scale, from 1.
    """

    def __init__(self, config: MSDNetConfig, layer: int, scale: int) -> None:
        super().__init__()
        self.normal_first = config.normal_first
        finer = scale - 1 >= config.finest(layer - 1)
        new = config.growth * config.factors[scale - 1] // (2 if finer else 1)
        self.normal = _bottleneck(config, layer, scale, new, stride=1)
        self.down = _bottleneck(config, layer, scale - 1, new, stride=2) if finer else None
        self.transition = None
        if config.has_transition(layer):
            before = (config.units[layer - 1] + config.growth) * config.factors[scale - 1]
            after = config.channels(layer, scale)
            self.transition = conv_norm_relu(before, after, 1, bias=config.bias)

    def forward(self, same: Tensor, finer: Tensor | None) -> Tensor:
        """Return the map of this scale behind the layer.

        Args:
            same: (B, C, H, W) behind the layer before.
            finer: Map of the finer scale there, with sides of about 2 H and 2 W.
        """
        new = [self.normal(same)]
        if self.down is not None:
            new.insert(len(new) if self.normal_first else 0, self.down(finer))
        joined = torch.cat([same, *new], dim=1)
        return joined if self.transition is None else self.transition(joined)


def _bottleneck(
    config: MSDNetConfig, layer: int, scale: int, outputs: int, stride: int
) -> nn.Sequential:
    """Return a 1×1 and a 3×3 convolution that read a scale behind the layer before."""
    inputs = config.channels(layer - 1, scale)
    middle = min(inputs, config.bottleneck[scale - 1] * outputs)
    return nn.Sequential(
        conv_norm_relu(inputs, middle, 1, bias=config.bias),
        conv_norm_relu(middle, outputs, 3, stride, bias=config.bias),
    )


class Stem(nn.Module):
    """The first maps of all scales: one convolution each, from the next finer one."""

    def __init__(self, config: MSDNetConfig) -> None:
        super().__init__()
        widths = [config.channels(0, scale) for scale in range(1, config.scales + 1)]
        if config.stem == "pool":
            first: nn.Module = nn.Sequential(
                nn.Conv2d(3, widths[0], 7, 2, 3),
                nn.BatchNorm2d(widths[0]),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2, 1),
            )
        else:
            first = conv_norm_relu(3, widths[0], 3, bias=config.bias)
        coarser = [conv_norm_relu(a, b, 3, 2, bias=config.bias) for a, b in pairwise(widths)]
        self.maps = nn.ModuleList([first, *coarser])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the map of every scale, finest first, for images (B, 3, H, W)."""
        maps = []
        x = images
        for layer in self.maps:
            x = layer(x)
            maps.append(x)
        return maps


class Block(nn.Module):
    """What one stage computes: cells in order, on maps of several scales.

    The state holds one map a scale, finest first.

    Args:
        config: Settings of the network.
        places: Cells of this stage in order; see `MSDNetConfig.places`.
        takes: Scales whose maps the state before holds; None for images.
        gives: Scales whose maps the next state holds.
    """

    def __init__(
        self,
        config: MSDNetConfig,
        places: list[Place],
        takes: tuple[int, ...] | None,
        gives: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.places, self.gives = places, gives
        self.takes = tuple(range(1, config.scales + 1)) if takes is None else takes
        self.stem = Stem(config) if takes is None else None
        self.cells = nn.ModuleList(Cell(config, *place) for place in places)

    def forward(self, state: State) -> State:
        """Return the maps behind the last cells."""
        values = state if self.stem is None else self.stem(state[0])
        maps = dict(zip(self.takes, values, strict=True))
        for (_, scale), cell in zip(self.places, self.cells, strict=True):
            finer = maps[scale - 1] if cell.down is not None else None
            maps[scale] = cell(maps[scale], finer)
        return tuple(maps[scale] for scale in self.gives)


class MSDNetHead(nn.Module):
    """The exit of MSDNet: two convolutions of stride 2, global mean, one linear layer.

    The published code pools 2×2 positions, which at the sizes that it is meant for are all.

    Args:
        channels: Channels of the coarsest map.
        width: Channels of the two convolutions.
        num_classes: Number of classes C.
        bias: Whether the convolutions have biases.
    """

    def __init__(self, channels: int, width: int, num_classes: int, *, bias: bool = False) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            conv_norm_relu(channels, width, 3, 2, bias=bias),
            conv_norm_relu(width, width, 3, 2, bias=bias),
        )
        self.mean = GlobalMean()
        self.classify = nn.Linear(width, num_classes)

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes) from the coarsest map."""
        result: Tensor = self.classify(self.mean(self.reduce(state[-1])))
        return result


class MSDNet(StagedClassifier):
    """MSDNet, one stage a block.

    Args:
        config: Settings of the network.
        num_classes: Number of classes C, at least 2.
    """

    def __init__(self, config: MSDNetConfig, num_classes: int) -> None:
        places = config.places()
        stages = []
        takes: tuple[int, ...] | None = None
        for number, end in enumerate(config.ends):
            later = [place for stage in places[number + 1 :] for place in stage]
            gives = _used(config, later)
            channels = config.channels(end, config.scales)
            head = MSDNetHead(
                channels, config.head_width or channels, num_classes, bias=config.bias
            )
            stages.append(Stage([Block(config, places[number], takes, gives)], head))
            takes = gives
        super().__init__(stages, num_classes, 1)
        self.config = config
        initialise_convolutions(self)  # as the authors' Lua code does, with biases 0
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _used(config: MSDNetConfig, later: list[Place]) -> tuple[int, ...]:
    """Return the scales whose maps later cells read; always with the coarsest."""
    read = {config.scales}
    for layer, scale in later:
        read.add(scale)
        if scale - 1 >= config.finest(layer - 1):
            read.add(scale - 1)
    return tuple(sorted(read))
