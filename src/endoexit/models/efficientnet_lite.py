"""EfficientNet-Lite 0, 1 and 2 (Tan & Le 2019; Google's Lite variants of 2020).

No squeeze and excitation, ReLU6 throughout, stem and head of fixed width: made for CPUs and int8.
Layers have the names that timm gives them, so weights of either fit.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from endoexit.models.layers import GlobalMean, initialise_convolutions

NORM_EPS = 1e-3  # TensorFlow's, with which the published weights were trained
STEM, HEAD = 32, 1280
# Blocks, kernel, first stride, expansion and channels of each group, at width and depth 1.
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Scaling:
    """How far a variant is scaled up.

    Attributes:
        width: Factor of the channels of each group.
        depth: Factor of the blocks of each group but the first and the last.
        side: Side in pixels of the images that its weights were trained with.
    """

    width: float
    depth: float
    side: int


SCALINGS = {0: Scaling(1.0, 1.0, 224), 1: Scaling(1.0, 1.1, 240), 2: Scaling(1.1, 1.2, 260)}


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: the odd pixel on the right and at the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return super().forward(x)
        high, wide = (max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in x.shape[2:])
        x = functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return functional.conv2d(x, self.weight, self.bias, stride, 0, 1, self.groups)


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return SameConv(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM_EPS)


class Separable(nn.Module):
    """The first group's block: depthwise, then pointwise convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _conv(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1 = _norm(inputs)
        self.conv_pw = _conv(inputs, outputs)
        self.bn2 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        y: Tensor = functional.relu6(self.bn1(self.conv_dw(x)))
        y = self.bn2(self.conv_pw(y))
        return y + x if self.residual else y


class Inverted(nn.Module):
    """The other groups' block: wide inside, narrow between blocks."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.conv_pw = _conv(inputs, inside)
        self.bn1 = _norm(inside)
        self.conv_dw = _conv(inside, inside, kernel, stride, groups=inside)
        self.bn2 = _norm(inside)
        self.conv_pwl = _conv(inside, outputs)
        self.bn3 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        y: Tensor = functional.relu6(self.bn1(self.conv_pw(x)))
        y = functional.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return y + x if self.residual else y


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8, never more than a tenth below."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class EfficientNetLite(nn.Module):
    """A whole EfficientNet-Lite; `endoexit.models.cut.with_exits` gives it exits.

    Args:
        variant: 0, 1 or 2.
        num_classes: Number of classes C.
        dropout: Dropout before the last layer.
    """

    def __init__(self, variant: int, num_classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        scaling = SCALINGS[variant]
        self.conv_stem, self.bn1 = _conv(3, STEM, 3, 2), _norm(STEM)
        groups, inputs = [], STEM
        for number, (count, kernel, stride, expansion, channels) in enumerate(GROUPS):
            ends = number in {0, len(GROUPS) - 1}
            outputs = _rounded(channels * scaling.width)
            blocks: list[nn.Module] = []
            for index in range(count if ends else -int(-count * scaling.depth // 1)):
                step = stride if index == 0 else 1
                if expansion == 1:
                    blocks.append(Separable(inputs, outputs, kernel, step))
                else:
                    blocks.append(Inverted(inputs, outputs, kernel, step, expansion))
                inputs = outputs
            groups.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*groups)
        self.conv_head, self.bn2 = _conv(inputs, HEAD), _norm(HEAD)
        self.act1, self.act2 = nn.ReLU6(), nn.ReLU6()
        self.global_pool, self.dropout = GlobalMean(), nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD, num_classes)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) for images (B, 3, H, W)."""
        x = self.act1(self.bn1(self.conv_stem(images)))
        x = self.act2(self.bn2(self.conv_head(self.blocks(x))))
        result: Tensor = self.classifier(self.dropout(self.global_pool(x)))
        return result
