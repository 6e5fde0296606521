"""Exported stages in OpenVINO."""

import contextlib
import io
import os
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops
from openvino import properties
from openvino.preprocess import PrePostProcessor
from openvino.properties import hint

from endoexit.artifacts.source import StageFiles
from endoexit.errors import RunError
from endoexit.files import sha256_bytes
from endoexit.precision import FloatFormat, Precision
from endoexit.runtime.backends.exported import Array, ExportedStages
from endoexit.runtime.backends.openvino_requests import (
    BITS,
    TYPES,
    Request,
    Room,
    State,
    run_at_once,
)
from endoexit.runtime.backends.sizes import rounds_of


def computes_bf16() -> bool:
    """Return whether this processor computes bf16 in hardware, as OpenVINO sees it."""
    return "BF16" in ov.Core().get_property("CPU", properties.device.capabilities)


def joined(models: Sequence[ov.Model]) -> ov.Model:
    """Return stages that follow each other as one graph, with the logits of the last alone.

    The stages are changed. What the exits between them compute has no reader, so it is left out.
    """
    if len(models) == 1:
        return models[0]
    handed_on: list[ov.Output] = []
    for number, model in enumerate(models):
        entering = model.get_parameters() if number else []
        for parameter, output in zip(entering, handed_on, strict=True):
            parameter.output(0).replace(output)
        *states, _logits = results = model.get_results()
        handed_on = [result.input_value(0) for result in states]
    return ov.Model(results, models[0].get_parameters(), "stages")


def copied(model: ov.Model) -> ov.Model:
    """Let the model compute the tensors that it only hands on; they stay the same.

    OpenVINO does not write them into the array of an output when that array changes.
    """
    for result in model.get_results():
        source = result.input_value(0)
        if source.get_node().get_type_name() == "Parameter":
            lowest = ops.constant(-np.inf, source.get_element_type())
            result.input(0).replace_source_output(ops.maximum(source, lowest).output(0))
    return model


def _part(arrays: State, start: int, stop: int) -> State:
    """Return the arrays of some images: the same ones for all of them."""
    if start == 0 and stop == len(arrays[0]):
        return arrays
    return tuple(array[start:stop] for array in arrays)


class OpenVinoBackend(ExportedStages[Array]):
    """Runs exported stages in OpenVINO on the CPU; see `ExportedStages`.

    States stay in OpenVINO's own precision, in arrays that the next stage reads in place: between
    two stages nothing is copied or converted. Stages are compiled for the batch sizes of `SIZES`
    alone, when they are first used, and a batch runs in parts of these: a stage for any number of
    images is slower, and the maps of many images do not fit into the caches.
    Where batches are expected, every part runs on one thread: threads that share a part wait
    for each other. Each compiled form holds its own copy of the weights. What was compiled for a
    bundle is kept on disk for the next process; see `CompiledStages`.

    Stages that run as one are compiled as one graph; see `RunsTogether`.
    """

    library = f"OpenVINO {ov.get_version()}"

    def __init__(self, files: StageFiles, precision: Precision, threads: int | None = None) -> None:
        super().__init__(files, precision, threads)
        self._floats: FloatFormat = precision.floats
        self._core = ov.Core()
        self._settings = {
            hint.inference_precision: TYPES[precision.floats],
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            hint.enable_cpu_pinning: False,
        }
        # By first stage, last stage and number of images: one request for each stream.
        self._requests: dict[tuple[int, int, int], list[Request]] = {}
        self._rooms: dict[int, Room] = {}

    def _forget(self) -> None:
        self._requests.clear()  # the number of threads may be another one now

    def prepare(self, number: int, state: State) -> None:
        """Compile a stage for all parts of a batch, and run it once if that was to be done."""
        self.prepare_together(number, number, state)

    def prepare_together(self, first: int, last: int, state: State) -> None:
        """Compile stages as one; see `prepare`."""
        parts = chain(*rounds_of(len(state[0]), self._streams))
        if any((first, last, stop - start) not in self._requests for start, stop in parts):
            self.run_together(first, last, state)

    def run(self, number: int, state: State) -> tuple[State, npt.NDArray[np.float32]]:
        """Run stage `number`; return its state and its exit's logits (B, C).

        Raises:
            RunError: The stage cannot be read, has changed, or is not as its document says.
        """
        return self.run_together(number, number, state)

    def run_together(
        self, first: int, last: int, state: State
    ) -> tuple[State, npt.NDArray[np.float32]]:
        """Run stages as one; return the state and the logits (B, C) of the last.

        Raises:
            RunError: See `run`.
        """
        images = len(state[0])
        outputs = self._room(last).of(images)
        for parts in rounds_of(images, self._streams):
            requests = []
            for stream, (start, stop) in enumerate(parts):
                request = self._of_size(first, last, stop - start)[stream]
                request.bind(_part(state, start, stop), _part(outputs, start, stop))
                requests.append(request)
            run_at_once(requests)
        *after, logits = outputs
        return tuple(after), logits.copy()

    def _tensor(self, array: Array) -> Array:
        return array

    def _array(self, tensor: Array) -> Array:
        return tensor

    @property
    def _streams(self) -> int:
        """Number of parts of a batch that run at the same time, each on one thread."""
        return self.threads if self._expected > 1 else 1

    def _of_size(self, first: int, last: int, images: int) -> list[Request]:
        """Return what runs stages as one on so many images, for each stream."""
        key = (first, last, images)
        if key not in self._requests:
            compiled = self._compile(first, last, images)
            self._requests[key] = [Request(compiled) for _ in range(self._streams)]
        return self._requests[key]

    def _room(self, number: int) -> Room:
        """Return the arrays that a stage writes into."""
        if number not in self._rooms:
            shapes = self._files.state.shapes[number - 1]
            self._rooms[number] = Room(shapes, BITS[self._floats], self._files.classes)
        return self._rooms[number]

    def _compile(self, first: int, last: int, images: int) -> ov.CompiledModel:
        numbers = range(first, last + 1)
        contents = [self._files.read(number) for number in numbers]
        key = self._key(first, last, images, contents)
        settings = self.settings()
        if (kept := self._kept.read(key)) is not None:
            with contextlib.suppress(RuntimeError):  # of a library that was built differently
                return self._core.import_model(io.BytesIO(kept), "CPU", settings)
        models = [self._read(*each) for each in zip(numbers, contents, strict=True)]
        try:
            model = self._prepared(copied(joined(models)), first, images)
            compiled = self._core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise self._unreadable(first) from error
        self._kept.write(key, compiled.export_model().getvalue())
        return compiled

    def _read(self, number: int, content: tuple[bytes, ...]) -> ov.Model:
        try:
            model = self._core.read_model(*content)
        except RuntimeError as error:
            raise self._unreadable(number) from error
        self._check_outputs(model, number)
        return model

    def settings(self) -> dict[Any, Any]:
        """Return the settings of OpenVINO that stages are compiled with."""
        return {
            **self._settings,
            properties.num_streams: self._streams,
            properties.inference_num_threads: self.threads,
        }

    def _key(
        self, first: int, last: int, images: int, contents: Sequence[tuple[bytes, ...]]
    ) -> str:
        """Return what compiled stages depend on, as one hash: files, settings, machine."""
        facts = (
            *(sha256_bytes(content) for stage in contents for content in stage),
            self._files.state.shapes[last - 1],
            self._files.classes,
            first == 1,
            images,
            self._floats,
            self.threads,
            self._streams,
            ov.get_version(),
            self._core.get_property("CPU", properties.device.full_name),
            sorted(self._core.get_property("CPU", properties.device.capabilities)),
            os.environ.get("ONEDNN_MAX_CPU_ISA"),
        )
        return sha256_bytes(repr(facts).encode())

    def _check_outputs(self, model: ov.Model, number: int) -> None:
        """Refuse a stage that gives other tensors than the arrays that are made for them."""
        tensors = (*self._files.state.shapes[number - 1], (self._files.classes,))
        shapes = [ov.PartialShape([-1, *shape]) for shape in tensors]
        given = [port.partial_shape for port in model.outputs]
        if len(given) != len(shapes) or not all(
            shape.compatible(expected) for shape, expected in zip(given, shapes, strict=True)
        ):
            raise RunError(
                f"stage {number} of {self._files.folder} gives other tensors than the document "
                "of its bundle says: export the run again."
            )

    def _prepared(self, model: ov.Model, number: int, images: int) -> ov.Model:
        """Let states pass at the stages' own precision, and fix the number of images."""
        edges = PrePostProcessor(model)
        for index in range(len(model.inputs) if number > 1 else 0):  # stage 1 takes images
            edges.input(index).tensor().set_element_type(TYPES[self._floats])
        for index in range(len(model.outputs) - 1):  # the last one is the logits
            edges.output(index).tensor().set_element_type(TYPES[self._floats])
        model = edges.build()
        sides = [[side.get_length() for side in list(port.partial_shape)[1:]]
                 for port in model.inputs]  # fmt: skip
        model.reshape({index: [images, *rest] for index, rest in enumerate(sides)})
        return model
