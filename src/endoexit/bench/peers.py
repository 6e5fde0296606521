"""Peers: whole networks without early exits, in one piece, by the name that users give them."""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from endoexit.artifacts.source import StageFiles
from endoexit.errors import UsageError, unknown_name
from endoexit.exporting.graphs import (
    all_exits_graph,
    example_images,
    whole_graph,
    write_onnx,
    write_openvino,
)
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import NetworkSpec, StagedClassifier
from endoexit.models.catalog import list_models
from endoexit.models.state import state_of_shapes
from endoexit.policy import fixed_exit
from endoexit.precision import BackendName, FloatFormat, Precision
from endoexit.runtime.backends.base import Backend
from endoexit.runtime.backends.choice import has_bf16, open_exported
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine

RANDOM_WEIGHTS = "Peers have random weights, which take the same time as trained ones."
_MODULES: dict[BackendName, tuple[str, ...]] = {
    "torch": ("torch",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
}
_LIBRARIES: dict[BackendName, str] = {
    "torch": "eager PyTorch",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
}


def random_network(spec: NetworkSpec, *, whole: bool = False) -> StagedClassifier:
    """Return a network with random weights, the same each time.

    Args:
        spec: Which network.
        whole: Without early exits, in one stage.

    Raises:
        UsageError: Images of this size do not fit.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return (spec.build_whole() if whole else spec.build()).eval()


@dataclass(frozen=True)
class _Way:
    """How a peer computes: in which library; floats None for those of the subject."""

    kind: BackendName
    floats: FloatFormat | None
    all_exits: bool = False
    compiled: bool = False


PEERS: dict[str, _Way] = {
    "eager": _Way("torch", "f32"),
    "eager-bf16": _Way("torch", "bf16"),
    "compile": _Way("torch", "f32", compiled=True),
    "onnx": _Way("onnx", "f32"),
    "onnx-all-exits": _Way("onnx", "f32", all_exits=True),
    "openvino": _Way("openvino", None),
    "openvino-all-exits": _Way("openvino", None, all_exits=True),
}
DEFAULT = ("eager", "openvino", "onnx")


@dataclass(frozen=True)
class Peer:
    """One whole network.

    Attributes:
        name: Name that the user gave.
        what: Description in words.
        engine: Engine with one stage, so that it answers as the subject does.
    """

    name: str
    what: str
    engine: Engine


def choose_peers(against: Sequence[str], kind: BackendName) -> list[str]:
    """Return the names of all peers, in order, each once.

    A subject that is cut into graphs is also compared with the uncut graphs of the same library.

    Args:
        against: Names, also several with commas between; none for `DEFAULT` as far as they are
            installed; "none" for no peer besides the uncut graphs.
        kind: Backend of the subject.

    Raises:
        UsageError: There is no such peer (the nearest is named), it is not installed, this
            processor cannot compute it, or "none" is given with others.
    """
    asked = [name.strip() for entry in against for name in entry.split(",") if name.strip()]
    if not asked:
        asked = [name for name in DEFAULT if not missing(PEERS[name].kind)]
    names = [name for name in asked if name != "none"]
    if names and len(names) < len(asked):
        raise UsageError(
            f"none asks for no peer, but --against also names {', '.join(names)}: leave one of "
            "them out."
        )
    for name in names:
        if name not in PEERS and name not in list_models():
            raise unknown_name("peer", name, [*PEERS, *list_models(), "none"])
        _require(name, PEERS[name].kind if name in PEERS else kind)
    if kind != "torch":
        names = [*names, kind, f"{kind}-all-exits"]
    return list(dict.fromkeys(names))


def missing(kind: BackendName) -> list[str]:
    """Return the modules that a library needs and that are not installed."""
    return [name for name in _MODULES[kind] if importlib.util.find_spec(name) is None]


def _require(name: str, kind: BackendName) -> None:
    if absent := missing(kind):
        raise UsageError(
            f"the peer {name} needs {' and '.join(absent)}, not installed here: "
            f"pip install 'endoexit[{kind}]', or leave it out of --against."
        )
    if name in PEERS and PEERS[name].floats == "bf16" and not has_bf16(kind):
        raise UsageError(
            f"the peer {name} computes in bf16, which this processor does not: leave it out of "
            "--against."
        )


def open_peer(
    name: str,
    network: NetworkSpec,
    preprocessing: Preprocessing,
    precision: Precision,
    *,
    threads: int,
    folder: Path,
) -> Peer:
    """Build a peer.

    Args:
        name: Name in `PEERS`, or in the catalog: a network that computes as the subject does.
        network: Network of the subject.
        preprocessing: Preprocessing of its images.
        precision: What the subject computes in.
        threads: Number of threads of the peer.
        folder: Folder for its files, which must stay while it is used.

    Raises:
        UsageError: This processor or this machine cannot have it.
    """
    if name in PEERS:
        way = PEERS[name]
        floats = way.floats or precision.floats
    else:
        way = _Way(precision.backend, None)
        floats = "f32" if way.kind == "onnx" else precision.floats
        preprocessing = preprocessing.view
        network = replace(network, name=name, settings={}, size=preprocessing.size)
    backend: Backend
    if way.kind == "torch":
        model = random_network(network, whole=True)
        backend = _in_torch(model, floats, threads, compiled=way.compiled)
    else:
        backend = _in_graph(network, way, floats, threads, folder / name)
    exits = "answers at all exits" if way.all_exits else "final exit only"
    library = "torch.compile" if way.compiled else _LIBRARIES[way.kind]
    engine = Engine(backend, fixed_exit(1, 1), preprocessing)
    return Peer(name, f"{network.name} in one piece, {exits}, {library}", engine)


def _in_torch(
    model: StagedClassifier, floats: FloatFormat, threads: int, *, compiled: bool
) -> TorchBackend:
    if compiled:
        if shutil.which(os.environ.get("CXX", "g++")) is None:
            raise UsageError(
                "the peer compile needs a C++ compiler: install g++, or leave it out of --against."
            )
        for stage in model.stages:
            stage.compile()
    return TorchBackend(model, floats, threads)


def _in_graph(
    network: NetworkSpec, way: _Way, floats: FloatFormat, threads: int, folder: Path
) -> Backend:
    """Write the whole network as one graph, and open it as a single stage."""
    model = random_network(network)
    graph = all_exits_graph(model) if way.all_exits else whole_graph(model)
    # Answers of early exits are outputs of the graph in the place of a state. They are not read.
    early = model.num_stages - 1 if way.all_exits else 0
    state = state_of_shapes((((network.classes,),) * early,))
    files = StageFiles(folder, way.kind, state, network.classes)
    write = write_openvino if way.kind == "openvino" else write_onnx
    write(graph, example_images(network.size), files.of(1)[0])
    return open_exported(files, Precision(way.kind, floats, floats), threads)
