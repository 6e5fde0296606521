"""The stages of a bundle in OpenVINO."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import properties
from openvino.preprocess import PrePostProcessor
from openvino.properties import hint

from endoexit.artifacts.bundle import Bundle
from endoexit.errors import RunError
from endoexit.precision import FloatFormat, Precision
from endoexit.runtime.backends.base import Rows
from endoexit.runtime.threads import check_threads

State = tuple[npt.NDArray[Any], ...]
"""Arrays (B, ...) at the stages' own precision; bf16 as the 16 bits of each number."""

# NumPy has no bf16: an array holds its bits, and OpenVINO reads them without a copy.
_BITS: dict[FloatFormat, type[np.generic]] = {"f32": np.float32, "bf16": np.uint16}
_TYPES = {"f32": ov.Type.f32, "bf16": ov.Type.bf16}


def computes_bf16() -> bool:
    """Tell whether this processor computes bf16 in hardware, as OpenVINO sees it."""
    return "BF16" in ov.Core().get_property("CPU", properties.device.capabilities)


class _Request:
    """One compiled stage with the arrays that it writes into, which grow with the batch.

    Args:
        compiled: the stage.
        state_shapes: of what it hands on, without the batch.
        bits: type of the arrays of the state.
        classes: C.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        state_shapes: Sequence[tuple[int, ...]],
        bits: type[np.generic],
        classes: int,
    ) -> None:
        self._infer = compiled.create_infer_request()
        self._shapes: list[tuple[tuple[int, ...], type[np.generic]]] = [
            *((shape, bits) for shape in state_shapes),
            ((classes,), np.float32),
        ]
        self._room: State = ()
        self._inputs: list[npt.NDArray[Any] | None] = [None] * len(compiled.inputs)
        self._outputs: State = ()

    def __call__(self, state: State) -> State:
        """Return the arrays of the next state and, last, the logits."""
        images = len(state[0])
        if not self._outputs or len(self._outputs[0]) != images:
            self._bind_outputs(images)
        for index, array in enumerate(state):
            # From one image to the next, the stage before writes into the same arrays.
            if array is not self._inputs[index]:
                self._infer.set_input_tensor(index, _tensor(array))
                self._inputs[index] = array
        self._infer.infer()
        return self._outputs

    def _bind_outputs(self, images: int) -> None:
        if not self._room or images > len(self._room[0]):
            self._room = tuple(np.empty((images, *shape), bits) for shape, bits in self._shapes)
        self._outputs = tuple(array[:images] for array in self._room)
        for index, array in enumerate(self._outputs):
            self._infer.set_output_tensor(index, _tensor(array))


def _tensor(array: npt.NDArray[Any]) -> ov.Tensor:
    """Return a tensor on the memory of an array."""
    kind = _TYPES["f32"] if array.dtype == np.float32 else _TYPES["bf16"]
    return ov.Tensor(array, ov.Shape(array.shape), kind)


class OpenVinoBackend:
    """Runs the stages of a bundle in OpenVINO on the CPU.

    States stay in OpenVINO's own precision, in arrays that the next stage reads in place: between
    two stages nothing is copied or converted. A stage is compiled when it is first used: for the
    batch size that is expected, at first one image, and for any other. Where the shape is known,
    it is faster; each compiled form holds its own copy of the weights.

    Args:
        bundle: of the backend "openvino".
        precision: What the stages compute in.
        threads: threads of a stage, by default all cores that this process may use.

    Raises:
        RunError: a stage cannot be read.
        UsageError: no thread.
    """

    def __init__(self, bundle: Bundle, precision: Precision, threads: int | None = None) -> None:
        self.threads = check_threads(threads)
        self.precision = precision
        self.num_stages = len(bundle.config.exits)
        self._bundle = bundle
        self._floats: FloatFormat = precision.floats
        self._core = ov.Core()
        self._settings = {
            hint.inference_precision: _TYPES[precision.floats],
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            hint.enable_cpu_pinning: False,
            properties.inference_num_threads: self.threads,
            properties.num_streams: 1,
        }
        self._expected = 1
        self._requests: dict[tuple[int, int | None], _Request] = {}
        self._ready: set[tuple[int, int]] = set()

    def expect(self, images: int) -> None:
        """Compile the stages for batches of so many images, when they are first used."""
        if images == self._expected:
            return
        self._expected = images
        self._ready.clear()
        for key in [key for key in self._requests if key[1] is not None]:
            del self._requests[key]  # it holds weights

    def prepare(self, number: int, state: State) -> None:
        """Run a stage once for each batch size: the first run compiles for that size."""
        key = (number, len(state[0]))
        if key not in self._ready:
            self.run(number, state)
            self._ready.add(key)

    def start(self, images: npt.NDArray[np.float32]) -> State:
        """Return the state before stage 1 for normalised images (B, 3, S, S)."""
        return (np.ascontiguousarray(images.transpose(0, 2, 3, 1)),)  # no copy as normalised

    def run(self, number: int, state: State) -> tuple[State, npt.NDArray[np.float32]]:
        """Run stage `number`; return its state and its exit's logits (B, C)."""
        images = len(state[0])
        *after, logits = self._request(number, images if images == self._expected else None)(state)
        return tuple(after), logits.copy()

    def gather(self, state: State, rows: Rows) -> State:
        """Return the state of some images, in the order of `rows`."""
        return tuple(array[rows] for array in state)

    def concatenate(self, states: Sequence[State]) -> State:
        """Return the states of several batches as the state of one batch."""
        return tuple(np.concatenate(arrays) for arrays in zip(*states, strict=True))

    def _request(self, number: int, images: int | None) -> _Request:
        """Return what runs a stage on so many images, or on any number of them."""
        key = (number, images)
        if key not in self._requests:
            self._requests[key] = _Request(
                self._compile(number, images),
                self._bundle.config.state.shapes[number - 1],
                _BITS[self._floats],
                len(self._bundle.classes),
            )
        return self._requests[key]

    def _compile(self, number: int, images: int | None) -> ov.CompiledModel:
        file = self._bundle.stage_files(number)[0]
        try:
            model = self._core.read_model(file)
            self._check_outputs(model, number)
            model = self._prepared(model, number, images)
            return self._core.compile_model(model, "CPU", self._settings)
        except RuntimeError as error:
            raise RunError(
                f"OpenVINO {ov.get_version()} cannot load {file}: it is damaged or of another "
                "version. Export the run again with this one."
            ) from error

    def _check_outputs(self, model: ov.Model, number: int) -> None:
        """Refuse a stage that gives other tensors than the arrays that are made for them."""
        tensors = (*self._bundle.config.state.shapes[number - 1], (len(self._bundle.classes),))
        shapes = [ov.PartialShape([-1, *shape]) for shape in tensors]
        given = [port.partial_shape for port in model.outputs]
        if len(given) != len(shapes) or not all(
            one.compatible(other) for one, other in zip(given, shapes, strict=True)
        ):
            raise RunError(
                f"stage {number} of {self._bundle.path} gives other tensors than its bundle.json "
                "says: export the run again."
            )

    def _prepared(self, model: ov.Model, number: int, images: int | None) -> ov.Model:
        """Let states pass at the stages' own precision; fix the batch where it is known."""
        edges = PrePostProcessor(model)
        for index in range(len(model.inputs) if number > 1 else 0):  # stage 1 takes images
            edges.input(index).tensor().set_element_type(_TYPES[self._floats])
        for index in range(len(model.outputs) - 1):  # the last one is the logits
            edges.output(index).tensor().set_element_type(_TYPES[self._floats])
        model = edges.build()
        if images is not None:
            sides = [[side.get_length() for side in list(port.partial_shape)[1:]]
                     for port in model.inputs]  # fmt: skip
            model.reshape({index: [images, *rest] for index, rest in enumerate(sides)})
        return model
