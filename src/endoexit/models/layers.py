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
