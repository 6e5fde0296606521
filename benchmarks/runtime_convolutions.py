"""What int8 gains by kind of convolution, for `cpu_runtime.py`: OpenVINO's own counters."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from endoexit.progress import Track
from endoexit.runtime.session import Session
from runtime_networks import rounded
from runtime_profile import MILLISECOND, Profiled

KINDS = ("1×1 convolutions", "depthwise convolutions", "all else")
WARM_UP = 5


class _Counting(Profiled):
    """The backend with OpenVINO's counters on, which knows kinds of convolutions."""

    def spent(self, number: int) -> Counter[str]:
        """Return the milliseconds of each kind in a stage's last run."""
        spent: Counter[str] = Counter()
        for node in self._of_size(number, number, 1)[0].infer.profiling_info:
            spent[_kind(node.node_type, node.exec_type)] += node.real_time / MILLISECOND
        return spent


def _kind(layer: str, primitive: str) -> str:
    if layer == "GroupConvolution":
        return "depthwise convolutions"
    return "1×1 convolutions" if layer == "Convolution" and "1x1" in primitive else "all else"


def measure_convolutions(
    sessions: Mapping[str, Session], size: int, rounds: int, track: Track
) -> dict[str, Any]:
    """Return the milliseconds of each kind in all stages, and their ratios to f32.

    Medians over rounds in which the sessions take turns, one image at a time.

    Args:
        sessions: Bundles in OpenVINO, "f32" and "int8".
        size: Side of the image.
        rounds: Number of rounds that count.
        track: Display of progress.
    """
    backends = {
        name: _Counting(session.source.stage_files(), session.precision, session.threads or 1)
        for name, session in sessions.items()
    }
    seen: dict[str, list[Counter[str]]] = {name: [] for name in backends}
    image = np.zeros((1, 3, size, size), np.float32)
    with track("counting convolutions", rounds) as bar:
        for turn in range(-WARM_UP, rounds):
            for name, backend in backends.items():
                state, spent = backend.start(image), Counter[str]()
                for number in range(1, backend.num_stages + 1):
                    state, _ = backend.run(number, state)
                    spent += backend.spent(number)
                if turn >= 0:
                    seen[name].append(spent)
            if turn >= 0:
                bar.advance()
    medians = {
        name: {kind: float(np.median([spent[kind] for spent in rows])) for kind in KINDS}
        for name, rows in seen.items()
    }
    gains = {kind: medians["int8"][kind] / medians["f32"][kind] for kind in KINDS}
    return rounded({"milliseconds": medians, "int8 / f32": gains})


def in_words(measured: Mapping[str, Any]) -> str:
    """Say which kinds of convolutions gain how much."""
    gains, spent = measured["int8 / f32"], measured["milliseconds"]["f32"]
    total = sum(spent.values())
    shares = [
        f"{kind} {gains[kind]:.2f} of their time in f32 ({100 * spent[kind] / total:.0f} % of it)"
        for kind in KINDS[:2]
    ]
    return f"{' and '.join(shares)}, by OpenVINO's counters"
