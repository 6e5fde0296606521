"""Where exits go: numbers of groups, or three places chosen by cost and width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from endoexit.errors import UsageError
from endoexit.models.graph import run_blank, trace

SHARES = (0.25, 0.5, 0.75)  # of the multiply-adds, for `auto`
REACH = 0.12  # how far from its share an exit may be
HALF = 0.05  # see `choose_exits`


@dataclass(frozen=True)
class Place:
    """A layer behind which a network can be cut.

    Attributes:
        layer: Name of the layer.
        share: Share of the network's multiply-adds up to it.
        tensors: Number of tensors alive behind it.
        numbers: Numbers that these tensors hold for one image.
    """

    layer: str
    share: float
    tensors: int
    numbers: int


def groups_of(module: nn.Module) -> list[str]:
    """Return the names of a network's groups of layers: its longest sequence at the top.

    Raises:
        UsageError: It has no sequence of layers; names must be given instead.
    """
    sequences = [
        (len(child), name)
        for name, child in module.named_children()
        if isinstance(child, nn.Sequential | nn.ModuleList) and len(child) > 1
    ]
    if not sequences:
        children = ", ".join(name for name, _ in module.named_children())
        raise UsageError(
            f"this network has no sequence of groups to count: name layers, such as those of "
            f"{children}."
        )
    count, name = max(sequences)
    return [f"{name}.{index}" for index in range(count)]


def read_exits(text: str, module: nn.Module, size: int) -> tuple[str, ...]:
    """Return the layers that a user means by `auto`, by numbers of groups, or by names.

    Args:
        text: `auto`, such as `3,5,6`, or names of layers with commas between them.
        module: The network.
        size: Side in pixels of its images, for `auto`.

    Raises:
        UsageError: A number of a group that does not exist, or no place for an exit.
    """
    if text.strip() == "auto":
        return choose_exits(places(module, size))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        return tuple(parts)
    groups = groups_of(module)
    wrong = [part for part in parts if not 1 <= int(part) < len(groups)]
    if wrong:
        raise UsageError(
            f"there is no early exit behind group {wrong[0]}: this network has {len(groups)} "
            f"groups, so exits can be behind 1 to {len(groups) - 1}."
        )
    return tuple(groups[int(part) - 1] for part in parts)


class _Costs(fx.Interpreter):
    """Runs a graph without memory, counts each node, and keeps the size of what it gives."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.macs: dict[fx.Node, int] = {}
        self.numbers: dict[fx.Node, int | None] = {}

    def run_node(self, n: fx.Node) -> Any:
        with FlopCounterMode(display=False) as counter:
            value = super().run_node(n)
        self.macs[n] = counter.get_total_flops() // 2
        self.numbers[n] = value[0].numel() if isinstance(value, Tensor) else None
        return value


def _block_names(module: nn.Module) -> list[str]:
    """Return the layers inside the network's sequences, down to their smallest blocks."""
    names = []

    def visit(prefix: str, layer: nn.Module) -> None:
        for name, child in layer.named_children():
            path = f"{prefix}{name}"
            if _is_sequence(child) or any(_is_sequence(c, n) for n, c in child.named_children()):
                visit(f"{path}.", child)
            else:
                names.append(path)

    visit("", module)
    return names


def _is_sequence(layer: nn.Module, name: str = "blocks") -> bool:
    """Tell whether a layer is a sequence of blocks; inside others it must be called so."""
    holds_blocks = any(len(list(child.children())) for child in layer.children())
    return isinstance(layer, nn.Sequential | nn.ModuleList) and holds_blocks and name == "blocks"


def places(module: nn.Module, size: int) -> list[Place]:
    """Return where a network can be cut, in the order in which its layers run.

    Raises:
        ModelError, UsageError: See `endoexit.models.cut.with_exits`.
    """
    try:
        traced = trace(module, _block_names(module))
    except Exception:  # a block that cannot be traced into: the groups will do
        traced = trace(module, groups_of(module))
    runner = _Costs(traced)
    run_blank(runner, size)
    nodes = list(traced.graph.nodes)
    position = {node: i for i, node in enumerate(nodes)}
    last_use = {node: max((position[user] for user in node.users), default=-1) for node in nodes}
    total = sum(runner.macs.values())
    cuttable, so_far = [], 0
    for i, node in enumerate(nodes):
        so_far += runner.macs.get(node, 0)
        if node.op != "call_module" or not str(node.target).startswith("network."):
            continue
        alive = [n for n in nodes[: i + 1] if last_use[n] > i]
        sizes = [runner.numbers.get(n) for n in alive]
        if node in alive and all(numbers is not None for numbers in sizes):
            share = so_far / total
            layer = str(node.target).removeprefix("network.")
            cuttable.append(Place(layer, share, len(alive), sum(n or 0 for n in sizes)))
    return cuttable


def choose_exits(candidates: Sequence[Place]) -> tuple[str, ...]:
    """Return the layers of three exits: near a quarter, half and three quarters of the cost.

    Of the places near a share, those where the fewest tensors are alive count; of these a place
    that hands on half as many numbers may be `HALF` further from its share.

    Raises:
        UsageError: There is no place for an exit.
    """
    chosen: list[Place] = []
    for share in SHARES:
        behind = [p for p in candidates if not chosen or p.share > chosen[-1].share]
        near = [p for p in behind if abs(p.share - share) <= REACH]
        if near:
            narrow = min(place.numbers for place in near)
            chosen.append(min(near, key=lambda p: (p.tensors, _distance(p, share, narrow))))
    if not chosen:
        raise UsageError(
            "no layer of this network is near a quarter, half or three quarters of its cost: "
            "name layers with --exits."
        )
    return tuple(place.layer for place in chosen)


def _distance(place: Place, share: float, narrow: int) -> float:
    """Return how far a place is from a share, with what its width counts for."""
    return abs(place.share - share) + HALF * math.log2(place.numbers / narrow)
