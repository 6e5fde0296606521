"""The complexity columns of the exit paper's Table 3, by that paper's counting rules.

The table was counted with thop 0.1.1, whose rules are written out here: see
`PAPER_LEFT_OUT`. thop itself stays a tool of the tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from endoexit.models.cost import Complexity
from endoexit.models.dry_run import blank_images, dry_run
from endoexit.models.hifuse.fusion import ChannelGate, FusionBlock
from endoexit.models.hifuse.layers import MapLinear
from endoexit.models.spec import NetworkSpec
from endoexit.models.staged import StagedClassifier

SIZE, CLASSES = 224, 8
PUBLISHED_PARAMETERS = 123_272_666
"""All parameters that the published code of HiFuse-Small holds, with 8 classes."""

PAPER_LEFT_OUT = (
    "The paper's rules (thop 0.1.1) count parameters and work only of layers of known types that "
    "ran: convolutions and linear layers by their multiply-adds, normalisation as 4 operations a "
    "value, softmax as 3n − 1 a row, pooling layers by their additions. They leave out the "
    "attention products, the relative-position tables, and everything about the layer "
    "normalisation over channels, which is a class of the published code's own. What the paper "
    "calls FLOPs are multiply-adds for the most part."
)


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's Table 3, as printed.

    Attributes:
        name: The row's name.
        model: The network of the catalog.
        exit: 1-based.
        parameters_m: "Params (M)".
        gflops: "FLOPs (G)".
    """

    name: str
    model: str
    exit: int
    parameters_m: str
    gflops: str


TABLE_3 = (
    PaperRow("HiFuse", "hifuse_small", 1, "121.614", "18.142"),
    PaperRow("exit 1", "ee_hifuse_small", 1, "1.357", "4.241"),
    PaperRow("exit 2", "ee_hifuse_small", 2, "6.938", "8.648"),
    PaperRow("exit 3", "ee_hifuse_small", 3, "32.798", "13.747"),
    PaperRow("final", "ee_hifuse_small", 4, "121.695", "18.144"),
)


@dataclass(frozen=True)
class Comparison:
    """A row of the paper, and what is counted here.

    Attributes:
        paper: The row as printed.
        parameters: Number of parameters, counted by the paper's rules.
        operations: Number of operations, counted by the paper's rules.
        true_parameters: Number of parameters; see `endoexit.models.cost`.
        true_macs: Number of multiply-adds; see `endoexit.models.cost`.
    """

    paper: PaperRow
    parameters: int
    operations: int
    true_parameters: int
    true_macs: int

    @property
    def agrees(self) -> bool:
        """Whether both numbers round to the printed digits."""
        printed = (self.paper.parameters_m, self.paper.gflops)
        return (f"{self.parameters / 1e6:.3f}", f"{self.operations / 1e9:.3f}") == printed


def reproduce_table3() -> list[Comparison]:
    """Count every network of the paper's Table 3, by its rules and truly."""
    counted: dict[str, tuple[Complexity, Complexity]] = {}
    for name in {row.model for row in TABLE_3}:
        spec = NetworkSpec(name, CLASSES, SIZE)
        counted[name] = count_by_paper(spec.build_blank(), SIZE), spec.complexity
    rows = []
    for row in TABLE_3:
        ours, true = counted[row.model]
        at = row.exit - 1
        rows.append(
            Comparison(row, ours.parameters[at], ours.macs[at], true.parameters[at], true.macs[at])
        )
    return rows


def count_by_paper(model: StagedClassifier, size: int) -> Complexity:
    """Count every exit by the rules of thop 0.1.1; see `PAPER_LEFT_OUT`.

    Args:
        model: Network, which is neither run nor changed.
        size: Side in pixels of the square image.

    Raises:
        UsageError: Images of this size do not fit the network.
    """
    model.check_size(size, size)
    ran: dict[nn.Module, int] = {}  # parameters of each layer that ran
    operations = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal operations
        operations += _RULES[type(module)](module, inputs[0], output) // batch
        if type(module) not in _POOLED:
            ran[module] = sum(parameter.numel() for parameter in module.parameters())

    state = blank_images(size)
    batch = len(state[0])
    parameters, totals = [], []
    for stage in model.stages:
        layers = [module for module in stage.modules() if type(module) in _RULES]
        handles = [layer.register_forward_hook(count) for layer in layers]
        try:
            state = dry_run(stage, state)
        finally:
            for handle in handles:
                handle.remove()
        parameters.append(sum(ran.values()))
        totals.append(operations)
    return Complexity(tuple(parameters), tuple(totals), size)


def _convolution(layer: nn.Conv2d, _: Tensor, output: Tensor) -> int:
    return output.numel() * (layer.in_channels // layer.groups) * prod(layer.kernel_size)


def _linear(layer: nn.Linear, _: Tensor, output: Tensor) -> int:
    return output.numel() * layer.in_features


def _normalisation(_: nn.Module, x: Tensor, __: Tensor) -> int:
    return 4 * x.numel()  # subtract, divide, scale, shift


def _softmax(layer: nn.Softmax, x: Tensor, _: Tensor) -> int:
    n = x.shape[layer.dim or 0]
    return x.numel() // n * (3 * n - 1)  # exponentials, additions, divisions


def _channel_gate(_: nn.Module, x: Tensor, __: Tensor) -> int:
    """Count the global average pool, a separate layer in the published code."""
    return prod(x.shape[:2]) * (prod(x.shape[2:]) + 1)


def _fusion(block: FusionBlock, _: Tensor, output: Tensor) -> int:
    """Count the 2×2 average pool of the fused map before, in the same way."""
    return 0 if block.before is None else output.numel()


# By exact type, as thop has it: a subclass is a layer that it does not know.
_RULES: dict[type[nn.Module], Callable[..., int]] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    MapLinear: _linear,  # a linear layer in the published code
    nn.BatchNorm2d: _normalisation,
    nn.LayerNorm: _normalisation,
    nn.Softmax: _softmax,
    ChannelGate: _channel_gate,
    FusionBlock: _fusion,
}
_POOLED = (ChannelGate, FusionBlock)  # their pooling counts; their layers stand for themselves
