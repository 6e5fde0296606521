"""What an MSDNet is made of: the authors' configurations and that of Phuong & Lampert.

Scales are counted from 1, the finest, to S, the coarsest. Every exit reads the coarsest map.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from endoexit.models.staged import NetworkSettings

Place = tuple[int, int]
"""A layer l, counted from 1 over all blocks, and a scale s."""


@dataclass(frozen=True)
class MSDNetConfig(NetworkSettings):
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
        collaborate: Whether each exit reads the answer of the one before; see
            `endoexit.models.collaboration`.
    """

    family = "MSDNet"

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
    collaborate: bool = False

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
        self._require(isinstance(self.collaborate, bool), "collaborate", "true or false")
        same = len(self.bottleneck) == len(self.factors)
        self._require(same, "bottleneck", f"{len(self.factors)} numbers, one for each scale")
        if self.scales > 1:
            even = all(self.growth * factor % 2 == 0 for factor in self.factors[1:])
            self._require(even, "growth", "even at every scale but the first")
        self._require(
            self.num_layers >= self.scales, "blocks", f"{self.scales} layers in all or more"
        )

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
