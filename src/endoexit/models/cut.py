"""Early exits in any network: its graph is cut behind named layers into real stages.

`torch.fx` traces the network no deeper than the cuts need: a layer that holds no cut stays one
node, whatever happens inside it. `split_module` parts the graph. What one stage hands on is
whatever tensors are alive at the cut.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn

from endoexit.errors import ModelError, UsageError, unknown_name
from endoexit.models.exit_heads import AUTO, heads_of, make_head, require_settings
from endoexit.models.exit_heads import head_settings as settings_of
from endoexit.models.graph import Part, blank_batch, dry_run, refused_size, split, trace
from endoexit.models.staged import Stage, StagedClassifier, State


def with_exits(
    module: nn.Module,
    at: Sequence[str],
    num_classes: int,
    head: str = AUTO,
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
        head: Name of the exit head, or one for each exit with commas between them; see
            `endoexit.models.exit_heads.HEADS`. "auto" is `rdi` at the first exit and `conv` at the
            others.
        size: Side in pixels of the images of the dry run that finds the widths of the heads.
        head_settings: Settings of the exit heads. Each goes to the heads that have it.

    Returns:
        A network of len(at) + 1 stages.

    Raises:
        UsageError: No layer of that name (the nearest are named), layers out of order, a stage
            without work, or images that the network cannot take.
        ModelError: The network cannot be traced; names the operation that was in the way.
    """
    names, settings = list(at), head_settings or {}
    _check_names(module, names)
    heads = heads_of(head, len(names))
    require_settings(head, settings)

    def new_head(number: int, shape: tuple[int, ...]) -> nn.Module:
        known = settings_of(heads[number])
        given = {name: value for name, value in settings.items() if name in known}
        return make_head(heads[number], shape, num_classes, given)

    return _cut(module, names, num_classes, size, new_head)


def uncut(module: nn.Module, num_classes: int, size: int = 224) -> StagedClassifier:
    """Return a network as one stage without early exits; see `with_exits`."""
    return _cut(module, [], num_classes, size, lambda *_: nn.Identity())


def _cut(
    module: nn.Module,
    names: list[str],
    num_classes: int,
    size: int,
    new_head: Callable[[int, tuple[int, ...]], nn.Module],
) -> StagedClassifier:
    _fit_classes(module, num_classes, size)
    traced = trace(module, names)
    values = dry_run(traced, size)
    ends = _ends(traced, names)
    last = _last_map(traced, values, ends[-1] if ends else -1)
    return _assemble(split(traced, [*ends, last]), values, names, num_classes, new_head)


def _check_names(module: nn.Module, names: list[str]) -> None:
    if not names:
        raise UsageError("no layer to cut behind: name at least one, such as layer2.")
    known = [name for name, _ in module.named_modules() if name]
    for name in names:
        if name not in known:
            raise unknown_name("layer", name, known)
    if len(set(names)) < len(names):
        raise UsageError(f"the layers {', '.join(names)} name one twice: name each once.")


def _fit_classes(module: nn.Module, num_classes: int, size: int) -> None:
    """Replace the last linear layer where it gives another number of classes."""
    if num_classes < 2:
        raise UsageError(f"num_classes must be at least 2, got {num_classes}.")
    was_training = module.training
    try:
        with torch.no_grad():
            answer = module.eval()(blank_batch(module, size))
    except Exception as error:
        raise refused_size(size, error) from error
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
    for (first, a), (second, b) in pairwise(zip(names, ends, strict=True)):
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


class Trunk(nn.Module):
    """What one stage of a cut network computes.

    Args:
        module: Part of the graph.
        takes: Index in the state before of each value that it takes.
        gives: Origin of each tensor of the next state: whether the part made it, and its index
            there or in the state before.
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

    @property
    def classifier(self) -> nn.Module:
        """Its last linear layer, or all of it where it has none: what other classes change."""
        linear = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        return linear[-1] if linear else self

    def forward(self, state: State) -> Tensor:
        """Return logits (B, classes)."""
        result: Tensor = self.module(*(state[i] for i in self.takes))
        return result


def _assemble(
    parts: list[Part],
    values: dict[str, Any],
    names: list[str],
    num_classes: int,
    new_head: Callable[[int, tuple[int, ...]], nn.Module],
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
            exit_head = new_head(number, tuple(values[exit_map].shape[1:]))
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
    """Return the value that the exit reads: the last one of the part that continues."""
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
