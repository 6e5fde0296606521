"""Stages of a network as graphs of OpenVINO or ONNX, with any batch size."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from endoexit.files import naming_the_cause, replacing
from endoexit.models.dry_run import find_state
from endoexit.models.quantised import with_convolutions
from endoexit.models.staged import StagedClassifier, State
from endoexit.models.state import IMAGES, StateSpec

# The exporters look at an example; with one image they would take the batch for a constant.
EXAMPLES = 2
Shapes = tuple[tuple[int, ...], ...]
Turned = tuple[bool, ...]
"""Which tensors of a state are handed on with their channels last."""


class Graph(nn.Module):
    """One computation with tensors in and a flat tuple of tensors out.

    Args:
        compute: Function from a state to tensors.
        owner: The network whose parameters it uses.
    """

    def __init__(self, compute: Callable[[State], tuple[Tensor, ...]], owner: nn.Module) -> None:
        super().__init__()
        self.owner = owner
        self._compute = compute

    def forward(self, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors."""
        return self._compute(state)


@dataclass(frozen=True)
class StageGraph:
    """One stage, ready to be written as a graph.

    Attributes:
        number: Number of the stage, from 1.
        graph: Module that takes the state before and returns the state after and the logits;
            the last stage returns the logits only.
        example: A state before it, for two images.
        names: Names of the tensors that it takes.
        shapes: Shapes of the tensors that it hands on, without the batch.
    """

    number: int
    graph: Graph
    example: State
    names: tuple[str, ...]
    shapes: Shapes


def example_images(size: int) -> State:
    """Return what a first stage, or an uncut graph, takes: images (B, S, S, 3)."""
    return (torch.zeros(EXAMPLES, size, size, 3),)


def stage_graphs(model: StagedClassifier, size: int) -> Iterator[StageGraph]:
    """Yield the stages of a network.

    The first takes normalised images as (B, S, S, 3), as they are read. A map that lies in memory
    with its channels last is handed on as (B, H, W, C): engines keep maps so between convolutions,
    and would otherwise turn each twice at every cut.

    Args:
        model: Network in evaluation mode.
        size: Side of the images in pixels.
    """
    state: State = example_images(size)
    turned: Turned = (True,)
    spec = graph_state(model, size)
    for number, stage in enumerate(with_convolutions(model).stages, start=1):
        last = number == model.num_stages
        with torch.no_grad():
            after, _ = stage(_turn_back(state, turned))
        leaving = tuple(tensor.channels_last for tensor in spec.stages[number - 1])
        after = () if last else after
        compute = _stage(stage, turned, None if last else leaving)
        state_after = tuple(tensor.contiguous() for tensor in _turn(after, leaving))
        graph = Graph(compute, stage).eval()
        yield StageGraph(number, graph, state, spec.inputs(number), spec.shapes[number - 1])
        state, turned = state_after, leaving


def graph_state(model: StagedClassifier, size: int) -> StateSpec:
    """Return what the stages hand on when they run as graphs."""
    return find_state(with_convolutions(model), size, real=True)


def whole_graph(model: StagedClassifier) -> Graph:
    """Return the network as one graph, of images (B, S, S, 3), that answers at the final exit.

    What the early exits compute has no reader, so the graph is written without it.
    """
    network = with_convolutions(model)
    return Graph(lambda state: (network(*_turn_back(state, (True,)))[-1],), network).eval()


def all_exits_graph(model: StagedClassifier) -> Graph:
    """Return the network as one graph, of images (B, S, S, 3), that answers at all exits."""
    network = with_convolutions(model)
    return Graph(lambda state: tuple(network(*_turn_back(state, (True,)))), network).eval()


def _stage(
    stage: nn.Module, entering: Turned, leaving: Turned | None
) -> Callable[[State], tuple[Tensor, ...]]:
    """Return a stage between handed on states; `leaving` is None for the last one."""

    def compute(state: State) -> tuple[Tensor, ...]:
        after, logits = stage(_turn_back(state, entering))
        return (logits,) if leaving is None else (*_turn(after, leaving), logits)

    return compute


def _turn(state: State, turned: Turned) -> State:
    """Return the state with some maps as (B, H, W, C)."""
    pairs = zip(state, turned, strict=True)
    return tuple(tensor.permute(0, 2, 3, 1) if turn else tensor for tensor, turn in pairs)


def _turn_back(state: State, turned: Turned) -> State:
    """Return the state with these maps as (B, C, H, W) again."""
    pairs = zip(state, turned, strict=True)
    return tuple(tensor.permute(0, 3, 1, 2) if turn else tensor for tensor, turn in pairs)


def write_openvino(
    graph: Graph, example: State, path: Path, names: Sequence[str] = (IMAGES,)
) -> None:
    """Write a graph as `path` (.xml) with its weights in a second file (.bin), in f32.

    Args:
        graph: Module in evaluation mode.
        example: Tensors of two images, on the CPU.
        path: File to write; its name ends in .xml.
        names: Names of the tensors that it takes.
    """
    import openvino as ov  # noqa: PLC0415  (an extra)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python conditions on shapes, which are constants here
        traced = torch.jit.trace(graph, example, check_trace=False)  # type: ignore[no-untyped-call]
        model = ov.convert_model(traced, example_input=example)
    for port, tensor, name in zip(model.inputs, example, names, strict=True):
        port.get_tensor().set_names({name})
        shape = ov.PartialShape([-1, *tensor.shape[1:]])
        port.get_node().set_partial_shape(shape)
    model.validate_nodes_and_infer_types()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_openvino(model, path)


def save_openvino(model: Any, path: Path) -> None:
    """Write a model of OpenVINO as `path` (.xml) and its weights (.bin), as they are.

    Raises:
        OSError: The files cannot be written (disk full, no permission).
    """
    import openvino as ov  # noqa: PLC0415  (an extra)

    constants = (node for node in model.get_ops() if node.get_type_name() == "Constant")
    size = sum(node.get_byte_size() for node in constants)
    with naming_the_cause(path.with_suffix(".bin"), size, RuntimeError):
        ov.save_model(model, path, compress_to_fp16=False)


def write_onnx(graph: Graph, example: State, path: Path, names: Sequence[str] = (IMAGES,)) -> None:
    """Write a graph as an ONNX file, weights included, in f32.

    Args:
        graph: Module in evaluation mode.
        example: Tensors of two images, on the CPU.
        path: File to write; its name ends in .onnx.
        names: Names of the tensors that it takes.
    """
    with torch.no_grad():
        graph(*example)  # what is computed once and kept must not be the exporter's placeholders
    batch = torch.export.Dim("batch")
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it names libraries that are not installed
    try:
        with replacing(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                example,
                temporary,
                input_names=list(names),
                dynamic_shapes=(tuple({0: batch} for _ in example),),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
