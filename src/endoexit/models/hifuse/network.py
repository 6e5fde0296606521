"""HiFuse (Huo et al. 2024) as a staged classifier, with or without early exits."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from endoexit.models.heads import CbamHead, FinalClassifier
from endoexit.models.hifuse.branches import (
    GlobalBlock,
    LocalBlock,
    LocalDownsample,
    LocalStem,
    PatchEmbedding,
    PatchMerging,
)
from endoexit.models.hifuse.fusion import FusionBlock
from endoexit.models.staged import NetworkSettings, Stage, StagedClassifier, State
from endoexit.models.weights import PublishedReport

SCALES = 4
STRIDE = 32  # 4 in the stem, then 2 between scales: the maps of both branches must agree
SIDE = 224  # of the images of both papers
EXITS = (1, 2, 3)  # the paper's: behind the first three fusion blocks


@dataclass(frozen=True)
class HiFuseConfig(NetworkSettings):
    """What a HiFuse network is made of.

    Attributes:
        width: Channels at scale 1; doubled at each further scale.
        depths: Blocks of each branch at each scale.
        heads: Attention heads at each scale; each must divide its channels.
        window: Side of the attention windows.
        depthwise: Depthwise 3×3 convolution in the fusion (HiFuse's paper)
            instead of a dense one (its code, and the exit paper's table).
        exits: Scales behind which there is an early exit; () for none.
        exit_blocks: CBAM blocks of each exit head.
        exit_reduction: Reduction of their channel attention.
        drop_path: Stochastic depth of the deepest block; grows from 0 with depth.
        collaborate: Whether each exit reads the answer of the one before; see
            `endoexit.models.collaboration`.
    """

    family = "HiFuse"

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    depthwise: bool = False
    exits: tuple[int, ...] = ()
    exit_blocks: int = 3
    exit_reduction: int = 16
    drop_path: float = 0.0
    collaborate: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "window", "exit_blocks", "exit_reduction"):
            self._require(type(getattr(self, name)) is int, name, "a whole number")
        for name in ("depths", "heads", "exits"):
            value = getattr(self, name)
            numbers = isinstance(value, list | tuple) and all(type(n) is int for n in value)
            self._require(numbers, name, "a list of whole numbers")
            object.__setattr__(self, name, tuple(value))
        for name in ("depthwise", "collaborate"):
            self._require(isinstance(getattr(self, name), bool), name, "true or false")
        self._require(isinstance(self.drop_path, int | float), "drop_path", "a number")
        for name in ("width", "window", "exit_reduction"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(self.exit_blocks >= 0, "exit_blocks", "at least 0")
        self._require(0 <= self.drop_path < 1, "drop_path", "in [0, 1)")
        for name in ("depths", "heads"):
            value = getattr(self, name)
            fits = len(value) == SCALES and min(value) >= 1
            self._require(fits, name, f"{SCALES} numbers, each at least 1")
        divides = all(c % h == 0 for c, h in zip(self.channels, self.heads, strict=True))
        self._require(divides, "heads", f"divisors of the channels {self.channels}")
        ordered = all(a < b for a, b in pairwise((0, *self.exits, SCALES)))
        self._require(ordered, "exits", f"scales from 1 to {SCALES - 1} in rising order")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each scale."""
        return tuple(self.width * 2**scale for scale in range(SCALES))


def _names() -> dict[str, HiFuseConfig]:
    published = {
        "tiny": HiFuseConfig(depths=(2, 2, 2, 2)),
        "small": HiFuseConfig(depths=(2, 2, 6, 2)),
        "base": HiFuseConfig(depths=(2, 2, 18, 2)),
    }
    plain = {f"hifuse_{size}": config for size, config in published.items()}
    for size, config in published.items():
        plain[f"hifuse_{size}_dw"] = config.replaced({"depthwise": True})
    # Heads of 32 channels as in the published sizes, of 24 where 48 is the width.
    for size, width, heads in (("nano", 32, 1), ("micro", 48, 2), ("mini", 64, 2)):
        plain[f"hifuse_{size}"] = HiFuseConfig(
            width=width,
            depths=(2, 2, 2, 2),
            heads=(heads, 2 * heads, 4 * heads, 8 * heads),
            depthwise=True,
        )
    exits = {f"ee_{name}": config.replaced({"exits": EXITS}) for name, config in plain.items()}
    return plain | exits


NAMES = _names()
"""Settings of the networks that have a name in the catalog."""


class Scale(nn.Module):
    """One of the four scales: both branches' blocks, then their fusion.

    The state is (local (B, C, H, W), global (B, H, W, C), fused (B, C, H, W)).
    """

    def __init__(self, config: HiFuseConfig, index: int, drop_rates: list[float]) -> None:
        super().__init__()
        channels, heads = config.channels[index], config.heads[index]
        first = index == 0
        self.enter_local: nn.Module
        self.enter_global: nn.Module
        if first:
            self.enter_local, self.enter_global = LocalStem(channels), PatchEmbedding(channels)
        else:
            before = config.channels[index - 1]
            self.enter_local, self.enter_global = LocalDownsample(before), PatchMerging(before)
        self.local_blocks = nn.Sequential(*(LocalBlock(channels, drop_path=r) for r in drop_rates))
        self.global_blocks = nn.Sequential(
            *(
                GlobalBlock(channels, heads, config.window, shifted=bool(i % 2), drop_path=rate)
                for i, rate in enumerate(drop_rates)
            )
        )
        self.fusion = FusionBlock(channels, first=first, depthwise=config.depthwise)

    def forward(self, state: State) -> State:
        """Turn the state of the scale before (or `(images,)`) into this scale's."""
        if len(state) == 1:
            # Channels last: every permute between the branches' layouts is then a view.
            images = state[0].contiguous(memory_format=torch.channels_last)
            local, globe, before = images, images, None
        else:
            local, globe, before = state
        local = self.local_blocks(self.enter_local(local))
        globe = self.global_blocks(self.enter_global(globe))
        fused = self.fusion(local, globe.permute(0, 3, 1, 2), before)
        return local, globe, fused


def _initialise(model: nn.Module) -> None:
    """Initialise as the published code does: branches and classifier; fusion by default.

    The exit heads, of which nothing is published, keep their own initialisation.
    """
    initialised = {
        inner
        for part in model.modules()
        if isinstance(part, FusionBlock | CbamHead)
        for inner in part.modules()
    }
    for module in model.modules():
        if module in initialised:
            continue
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.2)
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


class HiFuse(StagedClassifier):
    """HiFuse cut at its exits: M = len(config.exits) + 1 stages.

    Args:
        config: The network's settings.
        num_classes: At least 2.
    """

    state_names = ("local", "global", "fused")

    def __init__(self, config: HiFuseConfig, num_classes: int) -> None:
        total = sum(config.depths)
        rates = [config.drop_path * i / max(1, total - 1) for i in range(total)]
        scales = []
        for index, depth in enumerate(config.depths):
            start = sum(config.depths[:index])
            scales.append(Scale(config, index, rates[start : start + depth]))
        stages = []
        for begin, end in pairwise((0, *config.exits, SCALES)):
            channels = config.channels[end - 1]
            head: nn.Module
            if end == SCALES:
                head = FinalClassifier(channels, num_classes)
            else:
                head = CbamHead(
                    channels,
                    num_classes,
                    blocks=config.exit_blocks,
                    reduction=config.exit_reduction,
                )
            stages.append(Stage(scales[begin:end], head))
        super().__init__(stages, num_classes, STRIDE)
        self.config = config
        _initialise(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def load_published(self, state_dict: Mapping[str, Tensor]) -> PublishedReport:
        """Read the weights of the published HiFuse code, exits apart; see there."""
        from endoexit.models.hifuse.published import (  # noqa: PLC0415  (it knows this class)
            load_published_hifuse,
        )

        return load_published_hifuse(self, state_dict)

    def scales(self) -> list[Scale]:
        """Return the four scales in order, whatever stage they are in."""
        return [part for stage in self.stages for part in stage.trunk]  # type: ignore[union-attr]
