"""Peers: whole networks that leave nobody early, in one piece, by the name that users give them."""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from endoexit.artifacts.bundle import STAGES, Bundle, BundleConfig, ExitFacts, Source
from endoexit.errors import UsageError, unknown_name
from endoexit.export.graphs import (
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
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import has_bf16

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


@dataclass(frozen=True)
class Network:
    """A network of the catalog on images of a size.

    Attributes:
        spec: Which network.
        preprocessing: of its images.
    """

    spec: NetworkSpec
    preprocessing: Preprocessing

    @classmethod
    def of(cls, source: Source) -> "Network":
        """Return the network of a run or a bundle."""
        config = source.config
        return cls(config.network, config.preprocessing)

    def build(self, *, whole: bool = False) -> StagedClassifier:
        """Return it with random weights, the same each time.

        Args:
            whole: Without early exits, in one stage.

        Raises:
            UsageError: images of this size do not fit.
        """
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            return (self.spec.build_whole() if whole else self.spec.build()).eval()


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
        name: as it was asked for.
        what: it is, in words.
        engine: of one stage, so that it answers as the subject does.
    """

    name: str
    what: str
    engine: Engine


def choose_peers(against: Sequence[str], kind: BackendName) -> list[str]:
    """Return the names of all peers, in order, each once.

    A subject that is cut into graphs is also compared with the uncut graphs of its own library.

    Args:
        against: names, also several with commas between; none for `DEFAULT` as far as they are
            installed; "none" for no peer beside the uncut graphs.
        kind: what the subject computes in.

    Raises:
        UsageError: there is no such peer (the nearest is named), it is not installed, this
            processor cannot compute it, or "none" stands beside others.
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
    name: str, network: Network, precision: Precision, *, threads: int, folder: Path
) -> Peer:
    """Build a peer.

    Args:
        name: see `PEERS`, or of a network in the catalog, which computes as the subject does.
        network: the subject's.
        precision: What the subject computes in.
        threads: of the peer.
        folder: for its files, which must stay while it is used.

    Raises:
        UsageError: this processor or this machine cannot have it.
    """
    if name in PEERS:
        way = PEERS[name]
        own = way.floats or precision.floats
    else:
        way = _Way(precision.backend, None)
        own = "f32" if way.kind == "onnx" else precision.floats
        network = replace(network, spec=replace(network.spec, name=name, settings={}))
    backend: Backend
    if way.kind == "torch":
        backend = _in_torch(network.build(whole=True), own, threads, compiled=way.compiled)
    else:
        backend = _in_graph(network, way, own, threads, folder / name)
    exits = "answers at all exits" if way.all_exits else "final exit only"
    library = "torch.compile" if way.compiled else _LIBRARIES[way.kind]
    engine = Engine(backend, fixed_exit(1, 1), network.preprocessing)
    return Peer(name, f"{network.spec.name} in one piece, {exits}, {library}", engine)


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
    network: Network, way: _Way, floats: FloatFormat, threads: int, folder: Path
) -> Backend:
    """Write the whole network as one graph; return it as a bundle of one stage that runs."""
    model = network.build()
    graph = all_exits_graph(model) if way.all_exits else whole_graph(model)
    example = example_images(network.preprocessing.size)
    early = model.num_stages - 1 if way.all_exits else 0
    if way.kind == "openvino":
        write_openvino(graph, example, folder / STAGES / "1.xml")
    else:
        write_onnx(graph, example, folder / STAGES / "1.onnx")
    precision = Precision(way.kind, floats, floats)
    config = BundleConfig(
        backend=way.kind,
        precision=floats,
        model=network.spec.name,
        classes=tuple(map(str, range(network.spec.classes))),
        preprocessing=network.preprocessing,
        exits=(ExitFacts(macs=1, parameters=1),),
        # Answers of early exits leave the graph as a state would, which nobody reads on.
        state=state_of_shapes((((network.spec.classes,),) * early,)),
        computes=(precision,),
        run_weights_sha256="",
    )
    bundle = Bundle(folder, config)
    if way.kind == "openvino":
        from endoexit.runtime.backends.openvino import OpenVinoBackend  # noqa: PLC0415  (an extra)

        return OpenVinoBackend(bundle, precision, threads)
    from endoexit.runtime.backends.onnx import OnnxBackend  # noqa: PLC0415

    return OnnxBackend(bundle, precision, threads)
