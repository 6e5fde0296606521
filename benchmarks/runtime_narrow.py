"""int8 against f32 where oneDNN is held to AVX2, as on an older processor, for `cpu_runtime.py`."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from endoexit.bench.ratios import ratio
from endoexit.errors import UsageError
from endoexit.evaluation.turns import Work, take_turns
from endoexit.progress import Track
from endoexit.runtime.backends.openvino import OpenVinoBackend, joined
from endoexit.runtime.session import Session, open_session
from runtime_convolutions import measure_convolutions
from runtime_networks import held, milliseconds, open_variants
from runtime_road import ROADS, SIDE

VARIABLE, VALUE = "ONEDNN_MAX_CPU_ISA", "AVX2"
AT_MOST = 0.7
WHAT = "whole network, int8 / f32, convolutions held to AVX2"


def measure_narrow(name: str, folder: Path, *, rounds: int, track: Track) -> dict[str, Any]:
    """Return the processor time of the whole network in int8 over f32, without VNNI.

    Raises:
        UsageError: The variable is not set, which oneDNN reads once, when it is loaded.
    """
    if os.environ.get(VARIABLE) != VALUE:
        raise UsageError(f"set {VARIABLE}={VALUE} for this part.")
    stored = open_variants(
        name, folder, ["openvino-int8", "openvino-f32"], 1, track, size=SIDE, settings=ROADS[name]
    )
    sessions = {key.removeprefix("openvino-"): open_session(each.source, precision="f32", threads=1)
                for key, each in stored.items()}  # fmt: skip
    models = {key: _whole(session) for key, session in sessions.items()}
    image = np.zeros((1, SIDE, SIDE, 3), np.float32)
    works: dict[str, Work] = {key: _work(model, image) for key, model in models.items()}
    with track(f"timing {name}", rounds) as bar:
        times = take_turns(works, rounds, bar, untimed=1, clock=time.process_time)
    return {
        "size": SIDE,
        "rounds": rounds,
        "environment": f"{VARIABLE}={VALUE}",
        "milliseconds": {key: milliseconds(values) for key, values in times.items()},
        "layers": {key: _layers(model) for key, model in models.items()},
        "convolutions": measure_convolutions(sessions, SIDE, rounds, track),
        "targets": [held(WHAT, ratio(times, "int8", "f32"), AT_MOST)],
    }


def _whole(session: Session) -> ov.CompiledModel:
    """Return all stages as one graph, with the final exit alone."""
    backend, files = session.backend, session.source.stage_files()
    assert isinstance(backend, OpenVinoBackend)
    core = backend._core
    stages = [core.read_model(*files.read(each)) for each in range(1, files.num_stages + 1)]
    return core.compile_model(backend._prepared(joined(stages), 1, 1), "CPU", backend.settings())


def _work(model: ov.CompiledModel, image: np.ndarray) -> Work:
    request = model.create_infer_request()
    request.set_input_tensor(0, ov.Tensor(image, shared_memory=True))
    return lambda _: request.infer()


def _layers(model: ov.CompiledModel) -> dict[str, int]:
    """Return how many layers say that they use AVX2, and how many AVX-512."""
    kinds = [str(layer.get_rt_info()["primitiveType"].astype(str))
             for layer in model.get_runtime_model().get_ops()]  # fmt: skip
    return {name: sum(f"_{name}_" in kind for kind in kinds) for name in ("avx2", "avx512")}
