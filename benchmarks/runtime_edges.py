"""What input and confidence inside the graph of stage 1 could gain, for `cpu_runtime.py`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset8 as ops
from openvino.preprocess import PrePostProcessor

from endoexit.bench.ratios import spread
from endoexit.evaluation.turns import Work, take_turns
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import confidence
from endoexit.policy.confidence import confidence_of_one
from endoexit.progress import Track
from endoexit.runtime.backends.openvino import OpenVinoBackend
from endoexit.runtime.engine import Images
from endoexit.runtime.session import Session
from runtime_files import large_jpegs
from runtime_networks import milliseconds, open_variants, rounded
from runtime_road import ROADS, SIDE
from tables import markdown_table

RULE, TEMPERATURE = "max_probability", 1.5
BATCHES = (1, 16)
WORTH_MS = 0.03  # an image
NOW = "now"
WAYS = {  # whether the graph takes the decoded square, and whether it gives the confidence
    NOW: (False, False),
    "input in the graph": (True, False),
    "confidence in the graph": (False, True),
    "both in the graph": (True, True),
}


def measure_edges(
    name: str, folder: Path, *, variant: str, rounds: int, track: Track
) -> dict[str, Any]:
    """Return the time from a decoded square to the confidence and the label of exit 1."""
    session = open_variants(name, folder, [variant], 1, track, size=SIDE, settings=ROADS[name])[
        variant
    ]
    squares = np.stack([session.preprocessing.load(each) for each in large_jpegs(folder)])
    measured: dict[str, Any] = {"size": SIDE, "rounds": rounds, "batches": {}}
    for count in BATCHES:
        images = np.ascontiguousarray(squares[np.arange(count) % len(squares)])
        ways = {called: _way(session, images, *edges) for called, edges in WAYS.items()}
        answers = {called: way() for called, way in ways.items()}
        works: dict[str, Work] = {called: lambda _, way=way: way() for called, way in ways.items()}
        with track(f"timing {name}, {variant}, batch {count}", rounds) as bar:
            times = take_turns(works, rounds, bar, untimed=1, clock=time.process_time)
        measured["batches"][str(count)] = {
            called: {
                "milliseconds": milliseconds(times[called]),
                "saved_ms_an_image": rounded(
                    spread(np.subtract(times[NOW], times[called]) / count).model_dump()
                ),
                "largest_difference": rounded(
                    float(np.abs(answers[called][0] - answers[NOW][0]).max())
                ),
            }
            for called in WAYS
        }
    return measured


def _way(
    session: Session, images: Images, decoded: bool, confident: bool
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return a function from nothing to the confidences (B,) and the labels (B,) of images."""
    backend, view, count = session.backend, session.preprocessing, len(images)
    assert isinstance(backend, OpenVinoBackend)
    model = backend._core.read_model(*session.source.stage_files().read(1))
    if confident:
        model = _with_confidence(model)
    model = _prepared(model, backend, view, count, decoded=decoded, confident=confident)
    compiled = backend._core.compile_model(model, "CPU", backend.settings())
    request = compiled.create_infer_request()

    def run() -> tuple[np.ndarray, np.ndarray]:
        if decoded:
            view.check_batch(images)
            entering = images
        else:
            (entering,) = backend.start(view.normalise(images))
        request.set_input_tensor(0, ov.Tensor(entering, shared_memory=True))
        request.infer()
        if confident:
            last = len(compiled.outputs)
            sure = request.get_output_tensor(last - 2).data
            return sure.copy(), request.get_output_tensor(last - 1).data.copy()
        logits = request.get_output_tensor(len(compiled.outputs) - 1).data.copy()
        if count > 1:
            return confidence(logits, RULE, TEMPERATURE), logits.argmax(axis=1)
        row = logits[0].tolist()
        sure = confidence_of_one(row, RULE, TEMPERATURE)
        return np.array([sure]), np.array([row.index(max(row))])

    return run


def _with_confidence(model: ov.Model) -> ov.Model:
    """Return a stage that gives the largest probability (B,) and its class (B,) for its logits."""
    *states, logits = model.get_results()
    scaled = ops.divide(logits.input_value(0), np.float32(TEMPERATURE))
    best = ops.topk(ops.softmax(scaled, 1), np.int64(1), 1, "max", "none")
    parts = [ops.squeeze(best.output(index), np.int64([1])) for index in (0, 1)]
    return ov.Model([*states, *map(ops.result, parts)], model.get_parameters(), "confident")


def _prepared(
    model: ov.Model,
    backend: OpenVinoBackend,
    view: Preprocessing,
    count: int,
    *,
    decoded: bool,
    confident: bool,
) -> ov.Model:
    """Return the stage for so many images, with states at its own precision."""
    edges = PrePostProcessor(model)
    for index in range(len(model.outputs) - (2 if confident else 1)):
        kind = ov.Type.bf16 if backend.precision.floats == "bf16" else ov.Type.f32
        edges.output(index).tensor().set_element_type(kind)
    if decoded:
        entering = edges.input(0)
        entering.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        entering.model().set_layout(ov.Layout("NHWC"))
        steps = entering.preprocess().convert_element_type(ov.Type.f32)
        steps.mean([255 * value for value in view.mean]).scale([255 * value for value in view.std])
    model = edges.build()
    model.reshape({0: [count, view.size, view.size, 3]})
    return model


def edges(parts: dict[str, Any]) -> Iterator[str]:
    """Yield what the page says of them."""
    rows = [(f"`{name}`", variant, count, batch, part) for name, variants in parts.items()
            for variant, part in variants.items()
            for count, batch in part["batches"].items()]  # fmt: skip
    first = rows[0][-1]
    others = [called for called in WAYS if called != NOW]
    yield "## Input and confidence inside the graph"
    yield (
        "From a decoded square to the confidence and the label of exit 1: normalised in NumPy and "
        "decided in Python, as now, or with one or both inside the graph of OpenVINO. "
        f"Milliseconds of processor time on one core of {first['machine']['processor']}, "
        f"{first['size']}×{first['size']}; medians of {first['rounds']} rounds, what is saved with "
        "its quartiles. What is compared took turns."
    )
    header = ("network", "computes in", "batch", "now, ms",
              *(f"{called}: saved, ms an image" for called in others))  # fmt: skip
    yield markdown_table(
        header,
        [
            (name, variant, count, f"{batch[NOW]['milliseconds']['p50']:.3g}",
             *(_saved(batch[called]["saved_ms_an_image"]) for called in others))
            for name, variant, count, batch, _ in rows
        ],
    )  # fmt: skip
    alone = [batch for *_, count, batch, _ in rows if count == "1"]
    ranges = [_range([batch[called]["saved_ms_an_image"]["median"] for batch in alone])
              for called in others]  # fmt: skip
    yield (
        f"One image alone is saved {ranges[0]} ms by the input inside the graph, and {ranges[1]} "
        f"ms by the confidence (medians). Neither is built: it would have to save {WORTH_MS:g} ms."
    )


def _range(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def _saved(values: dict[str, float]) -> str:
    return "{median:.3f} [{low:.3f}, {high:.3f}]".format(**values)
