"""BranchyNet (Teerapittayanon et al. 2016, arXiv 1709.01686): B-LeNet, B-AlexNet, B-ResNet-110.

Layers and the places of branches are those of the authors' code. Its branches fork from the raw
map, before the trunk's ReLU. Linear layers fix the size of the images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.layers import LastMap, OneMap
from endoexit.models.staged import FixedSizeClassifier, NetworkSettings, Stage

NORM_EPS = 2e-5  # Chainer's


@dataclass(frozen=True)
class BranchyNetConfig(NetworkSettings):
    """What a BranchyNet is made of.

    Attributes:
        trunk: `lenet`, `alexnet` or `resnet`.
        depth: Blocks of each of the three groups of `resnet` (110 layers: 18).
        side: Side in pixels of the images, which the linear layers fix.
        collaborate: Whether each exit reads the answer of the one before; see
            `endoexit.models.collaboration`.
    """

    family = "BranchyNet"

    trunk: Literal["lenet", "alexnet", "resnet"] = "alexnet"
    depth: int = 18
    side: int = 32
    collaborate: bool = False

    def __post_init__(self) -> None:
        fits = self.trunk in _BUILDERS
        self._require(fits, "trunk", f"one of {', '.join(_BUILDERS)}")
        self._require(type(self.depth) is int and self.depth >= 1, "depth", "at least 1")
        side = 28 if self.trunk == "lenet" else 32
        self._require(self.side == side, "side", str(side))
        self._require(isinstance(self.collaborate, bool), "collaborate", "true or false")


class FirstChannel(nn.Module):
    """The first of three equal channels: B-LeNet's digits are grey."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, 3, H, W) into (B, 1, H, W)."""
        return x[:, :1]


class ResidualBlock(nn.Module):
    """B-ResNet's block: a shortcut that does not fit skips pixels and adds zero channels.

    Args:
        inputs: Channels before the block.
        outputs: Channels behind it; the zeros come before the shortcut's channels.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(outputs, eps=NORM_EPS)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outputs, eps=NORM_EPS)
        self.stride, self.zeros = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.zeros:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.zeros, 0))
        return functional.relu(y + shortcut)


def _pool(size: int) -> nn.Module:
    return nn.MaxPool2d(size, 2, ceil_mode=True)


def _norm() -> nn.Module:
    return nn.LocalResponseNorm(3, alpha=1.5e-4, beta=0.75, k=2)


def _conv(inputs: int, outputs: int, kernel: int, padding: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding)


Layers = list[nn.Module]
Parts = list[tuple[Layers, Layers]]
"""For each stage, the layers of its trunk and of its branch."""


def _lenet(classes: int, _: BranchyNetConfig) -> Parts:
    return [
        (
            [nn.Sequential(FirstChannel(), _conv(1, 5, 5, 3))],
            [_pool(2), nn.ReLU(), _conv(5, 10, 3, 1), _pool(2), nn.ReLU(), nn.Linear(640, classes)],
        ),
        (
            [_pool(2), nn.ReLU(), _conv(5, 10, 5, 3), _pool(2), nn.ReLU(), _conv(10, 20, 5, 3),
             _pool(2), nn.ReLU(), nn.Linear(720, 84)],
            [nn.Linear(84, classes)],
        ),
    ]  # fmt: skip


def _alexnet(classes: int, _: BranchyNetConfig) -> Parts:
    return [
        (
            [_conv(3, 32, 5, 2), nn.ReLU(), _pool(3), _norm(), _conv(32, 64, 5, 2)],
            [nn.ReLU(), _pool(3), _norm(), _conv(64, 32, 3, 1), nn.ReLU(), _conv(32, 32, 3, 1),
             nn.ReLU(), _pool(3), nn.Linear(512, classes)],
        ),
        (
            [nn.ReLU(), _pool(3), _norm(), _conv(64, 96, 3, 1)],
            [nn.ReLU(), _pool(3), _norm(), _conv(96, 32, 3, 1), nn.ReLU(), _pool(3),
             nn.Linear(128, classes)],
        ),
        (
            [nn.ReLU(), _conv(96, 96, 3, 1), nn.ReLU(), _conv(96, 64, 3, 1), nn.ReLU(), _pool(3),
             nn.Linear(1024, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 128), nn.ReLU(),
             nn.Dropout(0.5)],
            [nn.Linear(128, classes)],
        ),
    ]  # fmt: skip


def _resnet(classes: int, config: BranchyNetConfig) -> Parts:
    blocks: Layers = [ResidualBlock(16, 16) for _ in range(config.depth)]
    later: Layers = []
    for inputs, outputs in ((16, 32), (32, 64)):
        later.append(ResidualBlock(inputs, outputs, 2))
        later += [ResidualBlock(outputs, outputs) for _ in range(config.depth - 1)]
    return [
        (
            [_conv(3, 16, 3, 0), nn.BatchNorm2d(16, eps=NORM_EPS), nn.ReLU()],
            [_conv(16, 64, 5, 2), nn.ReLU(), _norm(), _conv(64, 32, 3, 1), nn.ReLU(),
             _conv(32, 32, 3, 1), nn.ReLU(), nn.Linear(28800, classes)],
        ),
        (blocks, [ResidualBlock(16, 16), nn.Linear(14400, classes)]),
        ([*later, nn.AvgPool2d(6, 1)], [nn.Linear(576, classes)]),
    ]  # fmt: skip


_BUILDERS: dict[str, Callable[[int, BranchyNetConfig], Parts]] = {
    "lenet": _lenet,
    "alexnet": _alexnet,
    "resnet": _resnet,
}


def _flat(layers: Layers) -> Layers:
    """Return the layers, with what linear ones read flattened to (B, inputs)."""
    return [
        nn.Sequential(nn.Flatten(), layer) if isinstance(layer, nn.Linear) else layer
        for layer in layers
    ]


class BranchyNet(FixedSizeClassifier):
    """A BranchyNet, one stage a branch.

    Args:
        config: Settings of the network.
        num_classes: Number of classes C, at least 2.
    """

    def __init__(self, config: BranchyNetConfig, num_classes: int) -> None:
        stages = [
            Stage([OneMap(*_flat(trunk))], LastMap(*_flat(branch)))
            for trunk, branch in _BUILDERS[config.trunk](num_classes, config)
        ]
        super().__init__(stages, num_classes, config.side)
        self.config = config


def branchynet_configs() -> dict[str, BranchyNetConfig]:
    """Return the three networks of the paper, by name."""
    return {
        "b_lenet": BranchyNetConfig("lenet", side=28),
        "b_alexnet": BranchyNetConfig("alexnet"),
        "b_resnet110": BranchyNetConfig("resnet"),
    }


def published_prefixes(model: BranchyNet) -> dict[str, str]:
    """Return, for each module with weights, its prefix in the published state dict.

    Published layers are counted over all trunks (`main`) and within each branch.
    """
    names: dict[str, str] = {}
    counted = 0
    for number, stage in enumerate(model.stages):
        trunk = cast(OneMap, cast(Stage, stage).trunk[0]).layers
        names |= _prefixes(f"stages.{number}.trunk.0.layers", trunk, "main", counted)
        branch = cast(LastMap, stage.head).layers
        names |= _prefixes(f"stages.{number}.head.layers", branch, f"branch{number + 1}", 0)
        counted += len(trunk)
    return names


def _prefixes(prefix: str, layers: nn.Sequential, published: str, first: int) -> dict[str, str]:
    names: dict[str, str] = {}
    for index, layer in enumerate(layers):
        theirs = f"{published}.{first + index}"
        if isinstance(layer, ResidualBlock):
            names |= {
                f"{prefix}.{index}.{name}": f"{theirs}.{name}" for name, _ in layer.named_children()
            }
        elif isinstance(layer, nn.Sequential):
            names[f"{prefix}.{index}.1"] = theirs
        else:
            names[f"{prefix}.{index}"] = theirs
    return names
