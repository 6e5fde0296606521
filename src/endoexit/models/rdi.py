"""RDI-Nets (Hu et al. 2020, arXiv 2002.10025): ResNets and MobileNetV2 with six early exits.

Pools of the published code have fixed sizes, which are right for images of 32×32 alone. Here
heads end in a global mean, which is the same at 32 and reads the whole map at any other size.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.layers import GlobalMean, LastMap, OneMap, initialise_convolutions
from endoexit.models.staged import NetworkSettings, Stage, StagedClassifier

GROUP_WIDTHS = (16, 32, 64)
# Expansion, channels, blocks and first stride of MobileNetV2's groups.
MOBILE_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
MOBILE_EXITS = (2, 5, 8, 10, 13, 16)  # with the stem as layer 1


@dataclass(frozen=True)
class RDIConfig(NetworkSettings):
    """What an RDI-Net is made of.

    Attributes:
        trunk: `resnet` or `mobilenetv2`.
        depth: Basic blocks of each of the three groups of `resnet`, at least 4.
        side: Side in pixels of the images that the network is meant for.
        collaborate: Whether each exit reads the answer of the one before; see
            `endoexit.models.collaboration`.
    """

    family = "RDI-Net"

    trunk: Literal["resnet", "mobilenetv2"] = "resnet"
    depth: int = 6
    side: int = 32
    collaborate: bool = False

    def __post_init__(self) -> None:
        known = self.trunk in ("resnet", "mobilenetv2")
        self._require(known, "trunk", "resnet or mobilenetv2")
        self._require(type(self.depth) is int and self.depth >= 4, "depth", "at least 4")
        self._require(isinstance(self.collaborate, bool), "collaborate", "true or false")


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut, which is a convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class InvertedBlock(nn.Module):
    """MobileNetV2's block with ReLU; a block of stride 1 always has a shortcut."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.conv1 = nn.Conv2d(inputs, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.residual = stride == 1
        self.shortcut = None
        if stride == 1 and inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        y: Tensor = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if not self.residual:
            return y
        result: Tensor = y + (x if self.shortcut is None else self.shortcut(x))
        return result


Parts = list[tuple[list[nn.Module], list[nn.Module]]]
"""For each stage, the layers of its trunk and of its head."""


def _resnet(classes: int, config: RDIConfig) -> Parts:
    depth = config.depth
    ends = [depth // 4 + 1, 3 * depth // 4 + 1, depth]
    parts: Parts = []
    waiting: list[nn.Module] = [
        nn.Conv2d(3, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    ]
    for group, width in enumerate(GROUP_WIDTHS):
        inputs = GROUP_WIDTHS[max(0, group - 1)]
        first = BasicBlock(inputs, width, 2 if group else 1)
        blocks = [first, *(BasicBlock(width, width) for _ in range(depth - 1))]
        for begin, end in zip([0, *ends], ends[:2], strict=False):
            parts.append(([*waiting, *blocks[begin:end]], _resnet_head(group, classes)))
            waiting = []
        waiting = list(blocks[ends[1] :])
    parts.append((waiting, [GlobalMean(), nn.Linear(64, classes)]))
    return parts


def _resnet_head(group: int, classes: int) -> list[nn.Module]:
    if group == 0:
        return [
            nn.MaxPool2d(2), nn.Conv2d(16, 64, 5, padding=2, bias=False), nn.BatchNorm2d(64),
            nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32), GlobalMean(), nn.Linear(32, classes),
        ]  # fmt: skip
    if group == 1:
        return [nn.MaxPool2d(2), BasicBlock(32, 32), GlobalMean(), nn.Linear(32, classes)]
    return [GlobalMean(), nn.Linear(64, classes)]


def _mobilenetv2(classes: int, _: RDIConfig) -> Parts:
    layers: list[nn.Module] = []
    widths, inputs = [32], 32
    for expansion, channels, count, stride in MOBILE_GROUPS:
        for index in range(count):
            layers.append(InvertedBlock(inputs, channels, expansion, stride if index == 0 else 1))
            inputs = channels
            widths.append(channels)
    parts: Parts = []
    waiting: list[nn.Module] = [
        nn.Conv2d(3, 32, 3, 1, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
    ]
    begin = 0
    for number, end in enumerate(MOBILE_EXITS):  # layer 1 is the stem
        head = _mobile_head(number, widths[end - 1], classes)
        parts.append(([*waiting, *layers[begin : end - 1]], head))
        waiting, begin = [], end - 1
    last = [nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU()]
    parts.append(([*layers[begin:], *last], [GlobalMean(), nn.Linear(1280, classes)]))
    return parts


def _mobile_head(number: int, width: int, classes: int) -> list[nn.Module]:
    if number == 0:
        return [
            InvertedBlock(16, 32, 6, 2), nn.BatchNorm2d(32), nn.ReLU(),
            InvertedBlock(32, 64, 6, 2), nn.BatchNorm2d(64), GlobalMean(), nn.Linear(64, classes),
        ]  # fmt: skip
    if number == 1:
        return [InvertedBlock(32, 32, 6, 2), GlobalMean(), nn.Linear(32, classes)]
    return [GlobalMean(), nn.Linear(width, classes)]


class RDINet(StagedClassifier):
    """An RDI-Net: seven stages.

    Args:
        config: Settings of the network.
        num_classes: Number of classes C, at least 2.
    """

    def __init__(self, config: RDIConfig, num_classes: int) -> None:
        build = _resnet if config.trunk == "resnet" else _mobilenetv2
        stages = [
            Stage([OneMap(*trunk)], LastMap(*head)) for trunk, head in build(num_classes, config)
        ]
        super().__init__(stages, num_classes, 1)
        self.config = config
        if config.trunk == "resnet":
            initialise_convolutions(self)  # as the published ResNets are


def rdi_configs() -> dict[str, RDIConfig]:
    """Return the published networks by name; `rdi_resnet38` has 6 · 6 + 2 layers."""
    depths = {38: 6, 74: 12, 110: 18, 152: 25}
    resnets = {f"rdi_resnet{layers}": RDIConfig(depth=depth) for layers, depth in depths.items()}
    return {**resnets, "rdi_mobilenetv2": RDIConfig("mobilenetv2")}


def published_prefixes(model: RDINet) -> dict[str, str]:
    """Return, for each module with weights, its prefix in the published state dict."""
    resnet = model.config.trunk == "resnet"
    if resnet:
        trunk = ["conv1", "bn1"]
        trunk += [f"group{g}_layer{i}" for g in range(3) for i in range(model.config.depth)]
    else:
        trunk = ["layer1", "bn1", *(f"layer{i}" for i in range(2, 20)), "bn2"]
    names: dict[str, str] = {}
    waiting = iter(trunk)
    for number, stage in enumerate(model.stages, 1):
        prefix = f"stages.{number - 1}"
        for index, layer in enumerate(stage.trunk[0].layers):  # type: ignore[union-attr,index]
            if not isinstance(layer, nn.ReLU):
                names[f"{prefix}.trunk.0.layers.{index}"] = next(waiting)
        head = list(stage.head.layers)  # type: ignore[union-attr,arg-type]
        for index in range(len(head) - 1):
            names[f"{prefix}.head.layers.{index}"] = f"branch_layer{number}.{index}"
        # The published list flattens before its linear layer.
        last = f"branch_layer{number}.{len(head)}"
        if number == model.num_stages:
            last = "fc" if resnet else "linear"
        names[f"{prefix}.head.layers.{len(head) - 1}"] = last
    return names
