"""Early exits with Bag-of-Features histograms (Passalis et al., Pattern Recognition 105, 2020).

Codewords are learned; an exit classifies how often each of them occurs in its map. Exit k reads
the mean of the histograms of exits 1 to k.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.layers import GlobalMean
from endoexit.models.staged import FixedSizeClassifier, NetworkSettings, Stage, State

TINY = 5e-16  # keeps a position without any codeword from dividing by 0


@dataclass(frozen=True)
class BoFConfig(NetworkSettings):
    """What the hierarchical Bag-of-Features network is made of.

    Attributes:
        codewords: Number of codewords M of each exit.
        side: Side in pixels of the images, which the linear layers fix.
    """

    family = "BoF"

    codewords: int = 64
    side: int = 32

    def __post_init__(self) -> None:
        fits = type(self.codewords) is int and self.codewords >= 1
        self._require(fits, "codewords", "at least 1")
        self._require(self.side == 32, "side", "32")


class LogisticBoF(nn.Module):
    """Logistic Bag-of-Features layer: histograms of learned codewords.

    Args:
        channels: Channels D of the map.
        codewords: Number of codewords M.
        region: Side r of the regions that have a histogram each; None for one of the whole map.
            What a region does not fill at the right and at the bottom is left out.
    """

    only_exits_read_it = True  # although it belongs to the trunk: later exits read the sum

    def __init__(self, channels: int, codewords: int, region: int | None = None) -> None:
        super().__init__()
        self.codebook = nn.Conv2d(channels, codewords, 1)
        self.a = nn.Parameter(torch.ones(1))
        self.c = nn.Parameter(torch.zeros(1))
        self.n1 = nn.Parameter(torch.full((1,), float(codewords)))
        self.n2 = nn.Parameter(torch.full((1,), float(region or 1)))
        self.region = region
        self.mean = GlobalMean()

    def forward(self, x: Tensor) -> Tensor:
        """Return histograms (B, M · regions) of a map (B, D, H, W)."""
        similar = (torch.tanh(self.a * self.codebook(x) + self.c) + 1) / 2
        members = self.n1 * similar / (similar.sum(1, keepdim=True) + TINY)
        if self.region is None:
            histogram: Tensor = self.n2 * self.mean(members)
            return histogram
        return self.n2 * functional.avg_pool2d(members, self.region).flatten(1)


class Features(nn.Module):
    """One stage of the trunk: convolutions, and the sum of the histograms so far.

    The state is (map, sum of histograms (B, M)).

    Args:
        layers: Modules of the trunk.
        histogram: Layer whose histogram is added; None for the last stage.
    """

    def __init__(self, layers: list[nn.Module], histogram: LogisticBoF | None) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.histogram = histogram

    def forward(self, state: State) -> State:
        """Return the next state; the first one's is (images,)."""
        x = self.layers(state[0])
        if self.histogram is None:
            return (x,)
        h = self.histogram(x)
        return x, h if len(state) == 1 else state[1] + h


class HistogramHead(nn.Module):
    """Classifies the mean of the histograms; the linear layer is shared by all early exits."""

    def __init__(self, classify: nn.Linear, exits: int) -> None:
        super().__init__()
        self.classify, self.exits = classify, exits

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes) from the sum of the histograms."""
        result: Tensor = self.classify(state[1] / self.exits)
        return result


class FinalHead(nn.Module):
    """The base network's classifier: two linear layers on all pixels of the last map."""

    def __init__(self, inputs: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, 1024), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(1024, num_classes),
        )  # fmt: skip

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes)."""
        result: Tensor = self.layers(state[0])
        return result


class BoFNet(FixedSizeClassifier):
    """The demonstration network for 32×32 images: two early exits and the base network's.

    Args:
        config: Settings of the network.
        num_classes: Number of classes C, at least 2.
    """

    def __init__(self, config: BoFConfig, num_classes: int) -> None:
        shared = nn.Linear(config.codewords, num_classes)

        def convolutions(*widths: int) -> list[nn.Module]:
            layers: list[nn.Module] = []
            for inputs, outputs in pairwise(widths):
                layers += [nn.Conv2d(inputs, outputs, 3), nn.ReLU()]
            return [*layers, nn.MaxPool2d(2)]

        first = Features(convolutions(3, 16, 32), LogisticBoF(32, config.codewords))
        second = Features(convolutions(32, 64, 128), LogisticBoF(128, config.codewords))
        stages = [
            Stage([first], HistogramHead(shared, 1)),
            Stage([second], HistogramHead(shared, 2)),
            Stage([Features([], None)], FinalHead(3200, num_classes)),
        ]
        super().__init__(stages, num_classes, config.side)
        self.config = config


def bof_configs() -> dict[str, BoFConfig]:
    """Return the published network by name."""
    return {"bof_cifar10": BoFConfig()}


def published_prefixes(model: BoFNet) -> dict[str, str]:
    """Return, for each module with weights, its prefix in the published state dict."""
    del model
    return {
        "stages.0.trunk.0.layers.0": "conv1",
        "stages.0.trunk.0.layers.2": "conv2",
        "stages.0.trunk.0.histogram": "exit_1",
        "stages.0.head.classify": "exit_1_fc",
        "stages.1.trunk.0.layers.0": "conv3",
        "stages.1.trunk.0.layers.2": "conv4",
        "stages.1.trunk.0.histogram": "exit_2",
        "stages.1.head.classify": "exit_1_fc",
        "stages.2.head.layers.1": "fc1",
        "stages.2.head.layers.4": "fc2",
    }
