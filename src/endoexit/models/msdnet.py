"""MSDNet (Huang et al. 2018, arXiv 1703.09844): dense layers over several scales at once.

Scales are counted from 1, the finest, to S, the coarsest. Every exit reads the coarsest map.
Also the variant of Phuong & Lampert (ICCV 2019), which differs in widths, order and pruning.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from endoexit.errors import UsageError, unknown_name
from endoexit.models.layers import GlobalMean, conv_norm_relu
from endoexit.models.staged import Stage, StagedClassifier, State

Place = tuple[int, int]
"""A layer l, counted from 1 over all blocks, and a scale s."""


@dataclass(frozen=True)
class MSDNetConfig:
    """What an MSDNet is made of.

    Attributes:
        blocks: Number of blocks K, which is the number of exits.
        base: Dense layers of the first block.
        step: Dense layers of each further block (`even`), or their growth (`lin_grow`).
        step_mode: `even` or `lin_grow`: block i then has step · (i − 1) + 1 layers.
        factors: Width of each scale in units of the width at scale 1.
        bottleneck: Factor of each scale that bounds its 1×1 convolutions.
        width: Units of width behind the stem.
        growth: Units that each layer adds; a scale s has units · factors[s] channels.
        head_width: Channels inside an exit head; None for those of the map that it reads.
        stem: `pool` halves the image twice before scale 1 (ImageNet); `plain` does not (CIFAR).
        prune: Rule by which fine scales end: `max` drops one every ceil(L / S) layers, `min`
            keeps each as long as a later layer can use it.
        normal_first: Order of the new maps: from the same scale, then from the finer one.
        bias: Whether convolutions have biases.
        lazy: Whether a stage computes only what its exit needs, and leaves the rest to the next.
        side: Side in pixels of the images that the configuration is meant for.
    """

    blocks: int = 5
    base: int = 4
    step: int = 4
    step_mode: Literal["even", "lin_grow"] = "even"
    factors: tuple[int, ...] = (1, 2, 4, 4)
    bottleneck: tuple[int, ...] = (1, 2, 4, 4)
    width: int = 32
    growth: int = 16
    head_width: int | None = None
    stem: Literal["pool", "plain"] = "pool"
    prune: Literal["max", "min"] = "max"
    normal_first: bool = False
    bias: bool = False
    lazy: bool = False
    side: int = 224

    def __post_init__(self) -> None:
        for name in ("factors", "bottleneck"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("blocks", "base", "step", "width", "growth", "side"):
            value = getattr(self, name)
            self._require(type(value) is int and value >= 1, name, "a whole number of at least 1")
        for name, values in (
            ("step_mode", ("even", "lin_grow")),
            ("stem", ("pool", "plain")),
            ("prune", ("max", "min")),
        ):
            self._require(getattr(self, name) in values, name, " or ".join(values))
        self._require(len(self.factors) >= 1, "factors", "a number for each scale")
        same = len(self.bottleneck) == len(self.factors)
        self._require(same, "bottleneck", f"{len(self.factors)} numbers, one for each scale")
        if self.scales > 1:
            even = all(self.growth * factor % 2 == 0 for factor in self.factors[1:])
            self._require(even, "growth", "even at every scale but the first")
        self._require(
            self.num_layers >= self.scales, "blocks", f"{self.scales} layers in all or more"
        )

    def _require(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            raise UsageError(f"MSDNet: {name} must be {what}, got {getattr(self, name)!r}.")

    def replaced(self, changes: dict[str, Any]) -> "MSDNetConfig":
        """Return a copy with some settings changed; a misspelt one raises UsageError."""
        for name in changes:
            if name not in self.__dataclass_fields__:
                raise unknown_name("model setting", name, self.__dataclass_fields__)
        return replace(self, **changes)

    @property
    def scales(self) -> int:
        """Number of scales S."""
        return len(self.factors)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Last layer of each block."""
        grows = self.step_mode == "lin_grow"
        further = [self.step * i + 1 if grows else self.step for i in range(1, self.blocks)]
        return tuple(accumulate([self.base, *further]))

    @property
    def num_layers(self) -> int:
        """Number of dense layers L."""
        return self.ends[-1]

    def finest(self, layer: int) -> int:
        """Return the finest scale that has a map behind a layer (0: behind the stem)."""
        if self.prune == "min":
            return self.scales - min(self.scales, self.num_layers - layer + 1) + 1
        interval = -(-self.num_layers // self.scales)
        return max(0, layer - 1) // interval + 1

    def has_transition(self, layer: int) -> bool:
        """Tell whether the units are halved behind a layer."""
        if self.prune == "min":
            return layer in {self.num_layers // 3, 2 * self.num_layers // 3}
        return self.finest(layer) > self.finest(layer - 1)

    @cached_property
    def units(self) -> tuple[int, ...]:
        """Units of width behind the stem and behind each layer, transitions included."""
        units = [self.width]
        for layer in range(1, self.num_layers + 1):
            grown = units[-1] + self.growth
            units.append(grown // 2 if self.has_transition(layer) else grown)
        return tuple(units)

    def channels(self, layer: int, scale: int) -> int:
        """Return the channels of a map behind a layer."""
        return self.units[layer] * self.factors[scale - 1]

    def places(self) -> list[list[Place]]:
        """Return what each stage computes, by layer, at a layer from coarse to fine.

        In this order a map is never overwritten before the coarser one has read it. Exit k reads
        scale S behind its last layer, which needs scale s up to S − s layers before that: with
        `lazy` the rest waits until an image continues.
        """
        stages: list[list[Place]] = []
        done: set[Place] = set()
        for end in self.ends:
            todo = [
                (layer, scale)
                for layer in range(1, end + 1)
                for scale in range(self.scales, self.finest(layer) - 1, -1)
                if (layer, scale) not in done
                and (not self.lazy or end - layer >= self.scales - scale)
            ]
            done |= set(todo)
            stages.append(todo)
        return stages


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
        others = [conv_norm_relu(a, b, 3, 2, bias=config.bias) for a, b in pairwise(widths)]
        self.maps = nn.ModuleList([first, *others])

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
        if num_classes < 2:
            raise UsageError(f"num_classes must be at least 2, got {num_classes}.")
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
        _initialise(self)


def _used(config: MSDNetConfig, later: list[Place]) -> tuple[int, ...]:
    """Return the scales whose maps later cells read; always with the coarsest."""
    read = {config.scales}
    for layer, scale in later:
        read.add(scale)
        if scale - 1 >= config.finest(layer - 1):
            read.add(scale - 1)
    return tuple(sorted(read))


def _initialise(model: nn.Module) -> None:
    """Initialise as the authors' Lua code does: N(0, 2 / (k² · outputs)), linear biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels
            nn.init.normal_(module.weight, 0.0, (2 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


_CIFAR = MSDNetConfig(
    factors=(1, 2, 4),
    bottleneck=(1, 2, 4),
    width=16,
    growth=6,
    head_width=128,
    stem="plain",
    side=32,
)


def msdnet_configs() -> dict[str, MSDNetConfig]:
    """Return the configurations of the authors and of Phuong & Lampert, by name."""
    anytime = {"base": 4, "step": 2}
    growing = {"base": 1, "step": 1, "step_mode": "lin_grow"}
    return {
        **{f"msdnet_imagenet_k{k}": MSDNetConfig(base=k, step=k) for k in (4, 6, 7)},
        "msdnet_cifar10_7": _CIFAR.replaced({"blocks": 7, **anytime}),
        "msdnet_cifar10_10": _CIFAR.replaced({"blocks": 10, **anytime}),
        "msdnet_cifar100_7": _CIFAR.replaced({"blocks": 7, **anytime}),
        "msdnet_cifar100_lin5": _CIFAR.replaced({"blocks": 5, **growing}),
        "msdnet_cifar10_lin7": _CIFAR.replaced({"blocks": 7, **growing}),
        "phuong_lampert_msdnet": MSDNetConfig(
            blocks=11,
            base=4,
            step=2,
            factors=(6, 12, 24),
            bottleneck=(4, 4, 4),
            width=1,
            growth=1,
            head_width=128,
            stem="plain",
            prune="min",
            normal_first=True,
            bias=True,
            side=32,
        ),
    }


def published_prefixes(model: MSDNet) -> dict[str, str]:
    """Return, for each module with weights, its prefix in the published state dict.

    Both published codes count modules within a block: the stem, layers, transitions. Cells of a
    lazy network are in a later stage than their published block.
    """
    variant = model.config.prune == "min"
    names: dict[str, str] = {}
    for number, stage in enumerate(model.stages):
        block = cast(Block, cast(Stage, stage).trunk[0])
        own = f"stages.{number}.trunk.0"
        if block.stem is not None:
            for scale, layer in enumerate(block.stem.maps):
                inner = "" if variant or (scale == 0 and model.config.stem == "pool") else ".net"
                published = f"blocks.0.0.{'mods' if variant else 'layers'}.{scale}{inner}"
                for i in _weighted(layer):
                    names[f"{own}.stem.maps.{scale}.{i}"] = f"{published}.{i}"
        for index, place in enumerate(block.places):
            names |= _published_cell(model.config, place, f"{own}.cells.{index}", variant)
        head = f"stages.{number}.head"
        old = f"exits.{number}" if variant else f"classifier.{number}.m"
        for j in (0, 1):
            for i in (0, 1):
                middle = "" if variant else ".net"
                names[f"{head}.reduce.{j}.{i}"] = f"{old}.{j}{middle}.{i}"
        last = f"exits.{number}.4" if variant else f"classifier.{number}.linear"
        names[f"{head}.classify"] = last
    return names


def _weighted(layers: nn.Module) -> list[int]:
    return [
        i for i, layer in enumerate(layers.children()) if next(layer.parameters(), None) is not None
    ]


def _published_cell(config: MSDNetConfig, place: Place, own: str, variant: bool) -> dict[str, str]:
    layer, scale = place
    number = next(i for i, end in enumerate(config.ends) if layer <= end)
    begin = 0 if number == 0 else config.ends[number - 1]
    # Modules of the block before this layer: the stem, its layers and their transitions.
    index = (number == 0) + (layer - begin - 1)
    index += sum(config.has_transition(before) for before in range(begin + 1, layer))
    at = scale - 1 if variant else scale - config.finest(layer)
    cell = f"blocks.{number}.{index}.{'mods' if variant else 'layers'}.{at}"
    parts = {"normal": "conv" if variant else "conv_normal", "down": "conv_down"}
    if layer == 0 or scale - 1 < config.finest(layer - 1):
        del parts["down"]
    names = {}
    for part, published in parts.items():
        for j in (0, 1):
            for i in (0, 1):
                inner = f"{j}.{i}" if variant else f"net.{3 * j + i}"
                names[f"{own}.{part}.{j}.{i}"] = f"{cell}.{published}.{inner}"
    if config.has_transition(layer):
        for i in (0, 1):
            inner = f"conv.{at}.{i}" if variant else f"m.{at}.net.{i}"
            names[f"{own}.transition.{i}"] = f"blocks.{number}.{index + 1}.{inner}"
    return names
