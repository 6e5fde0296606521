"""Where a stage's time goes, for `cpu_runtime.py`: OpenVINO's own counters, by kind of work."""

from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.source import StageFiles
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.backends.openvino import OpenVinoBackend
from runtime_networks import SIZE, open_variants, rounded

# By the beginning of OpenVINO's name of the layer.
KINDS = {
    "convolutions and linear layers": ("Convolution", "GroupConvolution", "FullyConnected"),
    "attention": ("MatMul", "Softmax"),
    "normalisation and element by element": (
        "MVN", "RMS", "Reduce", "Eltwise", "Add", "Subtract", "Multiply", "Divide", "Math",
        "Subgraph", "Pooling", "FakeQuantize",
    ),
    "moving data": ("Reorder", "Transpose", "Concat", "Slice", "Reshape", "Convert", "Split",
                    "Broadcast", "Roll", "Pad", "Gather"),
}  # fmt: skip
OTHERS = "others"
WARM_UP, LARGEST = 5, 3
MILLISECOND = timedelta(milliseconds=1)


class Profiled(OpenVinoBackend):
    """The backend with OpenVINO's counters on, which cost a little time themselves."""

    def __init__(self, files: StageFiles, precision: Precision, threads: int) -> None:
        super().__init__(files, precision, threads)
        self._settings["PERF_COUNT"] = True

    def layers(self, number: int) -> dict[str, tuple[str, float]]:
        """Return the kind and the milliseconds of each layer of a stage's last run."""
        counted = self._of_size(number, number, 1)[0].infer.profiling_info
        return {
            node.node_name: (_kind(node.node_type, node.node_name), node.real_time / MILLISECOND)
            for node in counted
        }


def _kind(layer: str, name: str) -> str:
    if layer == "Subgraph" and ".attention/" in name:  # query × key, softmax, × value in one
        return "attention"
    return next((kind for kind, starts in KINDS.items() if layer.startswith(starts)), OTHERS)


def profile_network(
    name: str, folder: Path, *, variant: str, threads: int, rounds: int, track: Track
) -> dict[str, Any]:
    """Return milliseconds by kind of work, and the largest layers, of each stage.

    Medians of each layer over the rounds, one image of 224×224 at a time.
    """
    subject = open_variants(name, folder, [variant], threads, track)[variant]
    profiled = Profiled(subject.source.stage_files(), subject.precision, threads)
    state = profiled.start(np.zeros((1, 3, SIZE, SIZE), np.float32))
    stages = []
    for number in range(1, profiled.num_stages + 1):
        seen: defaultdict[str, list[float]] = defaultdict(list)
        kinds: dict[str, str] = {}
        for turn in range(-WARM_UP, rounds):
            after, _ = profiled.run(number, state)
            for layer, (kind, spent) in profiled.layers(number).items() if turn >= 0 else ():
                kinds[layer] = kind
                seen[layer].append(spent)
        stages.append(_stage(kinds, {layer: float(np.median(ms)) for layer, ms in seen.items()}))
        state = tuple(array.copy() for array in after)
    return {"size": SIZE, "rounds": rounds, "stages": stages}


def _stage(kinds: dict[str, str], spent: dict[str, float]) -> dict[str, Any]:
    by_kind: Counter[str] = Counter()
    for layer, ms in spent.items():
        by_kind[kinds[layer]] += ms
    largest = sorted(spent, key=lambda layer: spent[layer], reverse=True)[:LARGEST]
    head = sum(ms for layer, ms in spent.items() if ".owner.head." in layer)
    return {
        "ms": rounded({kind: by_kind[kind] for kind in (*KINDS, OTHERS)}),
        "of_it_exit_head_ms": rounded(head),
        "largest": [{"layer": _short(layer), "ms": rounded(spent[layer])} for layer in largest],
    }


def _short(layer: str) -> str:
    """Return the place in the network that a layer's name holds."""
    return layer.removeprefix("__module.owner.").split("/")[0]
