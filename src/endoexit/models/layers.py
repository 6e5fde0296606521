"""Layers that networks of several families are built from."""

from torch import Tensor, nn
from torch.nn import functional


def conv_norm_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, bias: bool = False
) -> nn.Sequential:
    """Return a padded convolution, batch normalisation and ReLU.

    The map keeps its sides, or halves them rounded up where the stride is 2.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def initialise_convolutions(model: nn.Module) -> None:
    """Initialise convolutions with N(0, 2 / (k² · outputs)), outputs being those of a group."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] ** 2 * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, 0.0, (2 / fan_out) ** 0.5)


class GlobalMean(nn.Module):
    """Mean over all positions of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, C, H, W) into (B, C)."""
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class LastMap(nn.Module):
    """A head that reads the last tensor of a state.

    Args:
        layers: Modules that turn that tensor into logits (B, classes).
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, state: tuple[Tensor, ...]) -> Tensor:
        """Return logits (B, classes)."""
        result: Tensor = self.layers(state[-1])
        return result


class OneMap(nn.Module):
    """A part of a trunk whose state is a single tensor.

    Args:
        layers: Modules that turn one tensor into the next.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the next state, one tensor."""
        return (self.layers(state[-1]),)
