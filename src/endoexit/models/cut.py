"""Early exits in any network: its graph is cut behind named layers into real stages.

`torch.fx` traces the network no deeper than the cuts need: a layer that holds no cut stays one
node, whatever happens inside it. `split_module` parts the graph. What one stage hands on is
whatever tensors are alive at the cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from endoexit.errors import ModelError, UsageError, unknown_name
from endoexit.models.exit_heads import make_head
from endoexit.models.staged import Stage, StagedClassifier, State

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


def with_exits(
    module: nn.Module,
    at: Sequence[str],
    num_classes: int,
    head: str = "conv",
    *,
    size: int = 224,
    head_settings: dict[str, Any] | None = None,
) -> StagedClassifier:
    """Cut a network behind some of its layers and give each stage an exit.

    Args:
        module: Any network that takes images (B, 3, S, S) and gives (B, classes); its weights are
            kept and shared. Its last linear layer is replaced where it has another number of
            classes.
        at: Names of layers, as `named_modules` gives them, in the order in which they run.
        num_classes: Number of classes C, at least 2.
        head: Name of the exit head; see `endoexit.models.exit_heads.HEADS`.
        size: Side in pixels of the images of the dry run that finds the widths of the heads.
        head_settings: Settings of the exit head.

    Returns:
        A network of len(at) + 1 stages.

    Raises:
        UsageError: No layer of that name (the nearest are named), layers out of order, a stage
            without work, or images that the network cannot take.
        ModelError: The network cannot be traced; names the operation that stood in the way.
    """
    names = list(at)
    _check_names(module, names)
    _fit_classes(module, num_classes, size)
    traced = trace(module, names)
    values = dry_run(traced, size)
    ends = _ends(traced, names)
    last = _last_map(traced, values, ends[-1])
    parts = _split(traced, [*ends, last])

    def new_head(shape: tuple[int, ...]) -> nn.Module:
        return make_head(head, shape, num_classes, head_settings)

    return _assemble(parts, values, names, num_classes, new_head)


def _check_names(module: nn.Module, names: list[str]) -> None:
    if not names:
        raise UsageError("no layer to cut behind: name at least one, such as layer2.")
    known = [name for name, _ in module.named_modules() if name]
    for name in names:
        if name not in known:
            raise unknown_name("layer", name, known)
    if len(set(names)) < len(names):
        raise UsageError(f"the layers {', '.join(names)} name one twice: name each once.")


def trace(module: nn.Module, names: Sequence[str]) -> fx.GraphModule:
    """Return the graph of a network, in which each named layer is a node or ends with one.

    Raises:
        ModelError: The network cannot be traced; names the operation that stood in the way.
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
            "of its own."
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


def dry_run(traced: fx.GraphModule, size: int) -> dict[str, Any]:
    """Return what each node gives for black images of a size; tensors without data.

    Raises:
        UsageError: The network cannot take images of this size.
    """
    was_training = traced.training
    runner = _Values(traced.eval())
    try:
        with torch.no_grad():
            runner.run(blank_batch(traced, size))
    except Exception as error:  # layers refuse sizes with errors of every kind
        raise UsageError(
            f"this network cannot take images of {size}×{size} pixels "
            f"({str(error).splitlines()[0]}): choose the size that it was made for."
        ) from error
    finally:
        traced.train(was_training)
    return runner.values


def _fit_classes(module: nn.Module, num_classes: int, size: int) -> None:
    """Replace the last linear layer where it gives another number of classes."""
    if num_classes < 2:
        raise UsageError(f"num_classes must be at least 2, got {num_classes}.")
    was_training = module.training
    try:
        with torch.no_grad():
            answer = module.eval()(blank_batch(module, size))
    except Exception as error:
        raise UsageError(
            f"this network cannot take images of {size}×{size} pixels "
            f"({str(error).splitlines()[0]}): choose the size that it was made for."
        ) from error
    finally:
        module.train(was_training)
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        raise ModelError("a network to cut must give one tensor (images, classes).")
    if answer.shape[1] == num_classes:
        return
    linear = [
        (name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)
    ]
    fitting = [name for name, layer in linear if layer.out_features == answer.shape[1]]
    if not fitting:
        raise ModelError(
            f"the network gives {answer.shape[1]} classes and its last layer is not linear: make "
            f"it with {num_classes} classes."
        )
    old = module.get_submodule(fitting[-1])
    new = nn.Linear(old.in_features, num_classes, old.bias is not None)  # type: ignore[arg-type]
    module.set_submodule(fitting[-1], new.to(answer.device))


def _ends(traced: fx.GraphModule, names: list[str]) -> list[int]:
    """Return, for each layer, the position in the graph of its last node."""
    nodes = list(traced.graph.nodes)
    ends = []
    for name in names:
        inside = [i for i, node in enumerate(nodes) if _is_in(node, f"network.{name}")]
        if not inside:
            raise UsageError(f"the layer {name} does not run: name another.")
        ends.append(inside[-1])
    for (first, a), (second, b) in zip(
        zip(names, ends, strict=True), list(zip(names, ends, strict=True))[1:], strict=False
    ):
        if b < a:
            raise UsageError(
                f"the layers are out of order: {second} runs before {first}. Name them in the "
                "order in which they run."
            )
        if not any(node.op == "call_module" for node in nodes[a + 1 : b + 1]):
            raise UsageError(f"there is no layer between {first} and {second}: leave one out.")
    return ends


def _is_in(node: fx.Node, name: str) -> bool:
    if node.op == "call_module" and (
        node.target == name or str(node.target).startswith(f"{name}.")
    ):
        return True
    stack = node.meta.get("nn_module_stack", {})
    return any(key == name or str(key).startswith(f"{name}.") for key in stack)


def _last_map(traced: fx.GraphModule, values: dict[str, Any], end: int) -> int:
    """Return the position of the last node that gives a map or tokens: the final head follows."""
    nodes = list(traced.graph.nodes)
    behind = range(end + 1, len(nodes) - 1)
    maps = [i for i in behind if isinstance(v := values.get(nodes[i].name), Tensor) and v.ndim > 2]
    modules = [i for i in behind if nodes[i].op == "call_module"]
    if len(modules) < 2:
        raise UsageError(
            "an exit behind the last layer is the final exit: cut behind an earlier layer."
        )
    pooled = [i for i in maps if values[nodes[i].name].shape[2:].numel() > 1]
    return (pooled or maps or [modules[-2]])[-1]


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


def _split(traced: fx.GraphModule, ends: list[int]) -> list[Part]:
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


class Trunk(nn.Module):
    """What one stage of a cut network computes.

    Args:
        module: Part of the graph.
        takes: Index in the state before of each value that it takes.
        gives: For each tensor of the next state, whether the part made it, and its index there
            or in the state before.
    """

    def __init__(
        self, module: nn.Module, takes: tuple[int, ...], gives: tuple[tuple[bool, int], ...]
    ) -> None:
        super().__init__()
        self.module, self.takes, self.gives = module, takes, gives

    def forward(self, state: State) -> State:
        """Return the tensors that are alive behind this stage; the exit's map is the last."""
        results = self.module(*(state[i] for i in self.takes))
        made = results if isinstance(results, tuple | list) else (results,)
        return tuple(made[i] if new else state[i] for new, i in self.gives)


class FinalHead(nn.Module):
    """What the network itself does behind its last map.

    Args:
        module: Last part of the graph.
        takes: Index in the state of each value that it takes.
    """

    def __init__(self, module: nn.Module, takes: tuple[int, ...]) -> None:
        super().__init__()
        self.module, self.takes = module, takes

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes)."""
        result: Tensor = self.module(*(state[i] for i in self.takes))
        return result


def _assemble(
    parts: list[Part],
    values: dict[str, Any],
    names: list[str],
    num_classes: int,
    new_head: Callable[[tuple[int, ...]], nn.Module],
) -> StagedClassifier:
    stages = []
    state: tuple[str, ...] = parts[0].takes
    for number, part in enumerate(parts[:-1]):
        needed = {name for later in parts[number + 1 :] for name in later.takes}
        exit_map = _exit_map(part, values, needed, [*names, "the last map"][number])
        alive = [n for n in (*state, *part.gives) if n in needed and n != exit_map]
        _require_tensors(alive, values, [*names, "the last map"][number])
        after = (*dict.fromkeys(alive), exit_map)
        trunk = Trunk(
            part.module,
            tuple(state.index(name) for name in part.takes),
            tuple(
                (True, part.gives.index(name)) if name in part.gives else (False, state.index(name))
                for name in after
            ),
        )
        if number < len(names):
            exit_head = new_head(tuple(values[exit_map].shape[1:]))
        else:
            takes = tuple(after.index(name) for name in parts[-1].takes)
            exit_head = FinalHead(parts[-1].module, takes)
        stages.append(Stage([trunk], exit_head))
        state = after
    network = StagedClassifier(stages, num_classes, 1)
    for layer in network.modules():  # an exit reads its map after the next stage may have run
        if getattr(layer, "inplace", False):
            layer.inplace = False  # type: ignore[assignment]
    return network


def _exit_map(part: Part, values: dict[str, Any], needed: set[str], name: str) -> str:
    """Return the value that the exit reads: the last one of the part that goes on."""
    tensors = [n for n in part.gives if isinstance(values.get(n), Tensor) and n in needed]
    if not tensors:
        raise UsageError(f"nothing that {name} computes is used behind it: cut elsewhere.")
    return tensors[-1]


def _require_tensors(alive: list[str], values: dict[str, Any], name: str) -> None:
    for value in alive:
        if not isinstance(values.get(value), Tensor):
            raise ModelError(
                f"behind {name} the network still needs {value}, which is no tensor (a size, say): "
                "cut behind another layer, or let the layers behind compute it themselves."
            )
