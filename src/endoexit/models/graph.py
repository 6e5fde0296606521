"""The graph of any network: traced down to some layers, run without data, parted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from endoexit.errors import ModelError
from endoexit.models.staged import SizeError

BATCH = 2  # batch normalisation in training refuses one value a channel


class Cut(fx.Tracer):
    """Traces a network down to the layers behind which it is cut, and no deeper.

    Args:
        inside: Names of the layers that are traced into.
    """

    def __init__(self, inside: set[str]) -> None:
        super().__init__()
        self.inside = inside

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether a layer stays one node."""
        del m
        return module_qualified_name not in self.inside


class OnImages(nn.Module):
    """A network called with images alone, so that its other arguments have their defaults."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network gives for images (B, 3, S, S)."""
        result: Tensor = self.network(images)
        return result


def trace(module: nn.Module, names: Sequence[str]) -> fx.GraphModule:
    """Return the graph of a network, in which each named layer is a node or ends with one.

    Raises:
        ModelError: The network cannot be traced; names the operation that was in the way.
    """
    inside = {name.rsplit(".", i)[0] for name in names for i in range(1, name.count(".") + 1)}
    tracer = Cut({"network", *(f"network.{name}" for name in inside)})
    whole = OnImages(module)
    try:
        graph = tracer.trace(whole)
    except Exception as error:  # tracing runs the network's own code
        path = ".".join([*getattr(tracer, "module_stack", {})][-1:]) or type(module).__name__
        raise ModelError(
            f"the network cannot be cut there: tracing {path} met an operation that depends on "
            f"the images' values or sizes ({type(error).__name__}: {str(error).splitlines()[0]}). "
            "Cut behind a layer that is not inside that one, or move the operation into a layer "
            "by itself."
        ) from error
    traced = fx.GraphModule(whole, graph)
    _keep_parameters_inside(traced)
    return traced


class Constant(nn.Module):
    """A parameter or buffer that the network's own code reads, as a layer without input."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        if isinstance(value, nn.Parameter):
            self.value: Tensor = value
        else:
            self.register_buffer("value", value)

    def forward(self) -> Tensor:
        """Return it."""
        return self.value


def _keep_parameters_inside(traced: fx.GraphModule) -> None:
    """Read each parameter where it is used, so that no stage hands it on as if it were a state."""
    for node in [node for node in traced.graph.nodes if node.op == "get_attr"]:
        owner, _, leaf = str(node.target).rpartition(".")
        value = getattr(traced.get_submodule(owner), leaf)
        if not isinstance(value, Tensor):
            continue
        name = "constant_" + str(node.target).replace(".", "_")
        traced.add_submodule(name, Constant(value))
        for user in list(node.users):
            with traced.graph.inserting_before(user):
                user.replace_input_with(node, traced.graph.call_module(name))
        traced.graph.erase_node(node)
    traced.recompile()


class _Values(fx.Interpreter):
    """Runs a graph once and keeps what each node gives, without the data."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.values[n.name] = value.to("meta") if isinstance(value, Tensor) else value
        return value


def blank_batch(module: nn.Module, size: int) -> Tensor:
    """Return black images for a dry run on the device of the network's weights."""
    weights = next(module.parameters(), None)
    device = "cpu" if weights is None else weights.device
    return torch.zeros(BATCH, 3, size, size, device=device)


def refused_size(size: int, error: Exception) -> SizeError:
    """Return the error for images that a network's own layers refuse."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return SizeError(
        f"this network cannot take images of {size}×{size} pixels ({first}): choose the size that "
        "it was made for."
    )


def dry_run(traced: fx.GraphModule, size: int) -> dict[str, Any]:
    """Return what each node gives for black images of a size; tensors without data.

    Raises:
        SizeError: The network cannot take images of this size.
    """
    runner = _Values(traced)
    run_blank(runner, size)
    return runner.values


def run_blank(runner: fx.Interpreter, size: int) -> None:
    """Run a graph on black images of a size, as in evaluation; its mode is kept.

    Raises:
        SizeError: The network cannot take images of this size.
    """
    traced = runner.module
    was_training = traced.training
    traced.eval()
    try:
        with torch.no_grad():
            runner.run(blank_batch(traced, size))
    except Exception as error:  # layers refuse sizes with errors of every kind
        raise refused_size(size, error) from error
    finally:
        traced.train(was_training)


@dataclass(frozen=True)
class Part:
    """One part of a split graph.

    Attributes:
        module: Part of the graph as a module.
        takes: Names of the values that it takes.
        gives: Names of the values that it gives, in its own order.
    """

    module: nn.Module
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def split(traced: fx.GraphModule, ends: list[int]) -> list[Part]:
    """Part the graph behind the given positions."""
    position = {node.name: i for i, node in enumerate(traced.graph.nodes)}
    whole = split_module(
        traced, traced, lambda node: sum(position[node.name] > end for end in ends)
    )
    parts = []
    origin: dict[str, str] = {}  # of a value in the graph of parts: its name in the first graph
    inputs = [node for node in whole.graph.nodes if node.op == "placeholder"]
    origin.update({node.name: node.name for node in inputs})
    for node in whole.graph.nodes:
        if node.op != "call_module":
            continue
        module = whole.get_submodule(str(node.target))
        output = next(n for n in module.graph.nodes if n.op == "output")  # type: ignore[union-attr]
        results = output.args[0] if isinstance(output.args[0], list | tuple) else (output.args[0],)
        gives = tuple(result.name for result in results)
        if len(gives) == 1:
            origin[node.name] = gives[0]
        for user in node.users:
            if user.op == "call_function" and len(gives) > 1:
                origin[user.name] = gives[user.args[1]]
        parts.append(Part(module, tuple(origin[arg.name] for arg in node.args), gives))
    return parts
