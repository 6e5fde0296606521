"""One image at a time on a busy machine, for `cpu_runtime.py`: mean, median and 99th percentile."""

import contextlib
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from busy_machine import busy
from endoexit.bench.ratios import ratio_of
from endoexit.policy import threshold_policy
from endoexit.progress import Track
from endoexit.runtime.engine import Engine
from runtime_files import large_jpegs
from runtime_networks import held, open_variants, rounded
from runtime_road import NEVER, ROADS, SIDE

IMAGES = 200  # of one visit
LOADS = ("idle", "decoder", "2 busy", "4 busy")
AT_MOST = {"2 busy": 2.2, "4 busy": 3.3}  # times the mean of the idle machine
DECODER = """
import sys
from pathlib import Path
from endoexit.images.preprocessing import Preprocessing
view, data = Preprocessing(size=int(sys.argv[1])), Path(sys.argv[2]).read_bytes()
while True:
    view.load(data)
"""


def measure_tail(
    name: str, folder: Path, *, variant: str, threads: int, rounds: int, track: Track
) -> dict[str, Any]:
    """Return times of one image, from its square to its answer, next to other processes."""
    session = open_variants(
        name, folder, [variant], threads, track, size=SIDE, settings=ROADS[name]
    )[variant]
    content = large_jpegs(folder)[0]
    jpeg = folder / "decoded.jpg"
    jpeg.write_bytes(content)
    engine = Engine(
        session.backend, threshold_policy(session.backend.num_stages, NEVER), session.preprocessing
    )
    square = session.preprocessing.load(content)[None]
    engine.warm_up()
    spent: defaultdict[str, list[list[float]]] = defaultdict(list)
    with track(f"timing {name}, {variant}, {threads} threads", rounds) as bar:
        for turn in range(rounds):
            for load in LOADS[turn % len(LOADS) :] + LOADS[: turn % len(LOADS)]:
                with _beside(load, jpeg):
                    spent[load].append(_visit(engine, square))
            bar.advance()
    means = {load: np.mean(visits, axis=1) for load, visits in spent.items()}
    return {
        "size": SIDE,
        "rounds": rounds,
        "images": IMAGES,
        "milliseconds": {
            load: rounded(
                {
                    "mean": float(np.mean(visits)),
                    "p50": float(np.quantile(visits, 0.5)),
                    "p99": float(np.quantile(visits, 0.99)),
                }
            )
            for load, visits in spent.items()
        },
        "targets": [
            held(
                f"{variant}, {threads} threads: mean next to {load} processes / idle",
                ratio_of(load, means[load], "idle", means["idle"]),
                most,
            )
            for load, most in AT_MOST.items()
        ],
    }


def _visit(engine: Engine, square: np.ndarray) -> list[float]:
    times = []
    for _ in range(IMAGES):
        begin = time.perf_counter()
        engine.predict(square)
        times.append((time.perf_counter() - begin) * 1000)
    return times


@contextlib.contextmanager
def _beside(load: str, jpeg: Path) -> Iterator[None]:
    """Keep other processes at work, once they have started."""
    if load == "decoder":
        decoder = subprocess.Popen([sys.executable, "-c", DECODER, str(SIDE), str(jpeg)])
        try:
            time.sleep(1.0)
            yield
        finally:
            decoder.kill()
            decoder.wait()
    else:
        with busy(int(load[0]) if load != "idle" else 0):
            time.sleep(0.2)
            yield
