"""The files of stages as each library writes, reads and runs them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from endoexit.exporting.float_layers import (
    classifier_onnx,
    classifier_openvino,
    float_layers_onnx,
    float_layers_openvino,
)
from endoexit.exporting.graphs import StageGraph, save_openvino, write_onnx, write_openvino

Arrays = list[NDArray[np.float32]]
Stage = Callable[[Arrays], Arrays]
"""A stage at work: from the state before to the state after and the logits."""
ANY_NUMBER = -1  # of images, for OpenVINO


class ExportedStages(Protocol):
    """Stages in a folder, written by one library."""

    inputs: list[tuple[str, ...]]
    """Names of the tensors that each stage takes."""
    corrects_in_sequence: bool
    """Whether NNCF can correct each bias behind the quantised layers before it."""

    def write(self, graph: StageGraph) -> None:
        """Write the next stage, in f32."""

    def read(self, number: int) -> Any:
        """Return the model of stage `number`, from 1, as NNCF takes it."""

    def replace(self, number: int, model: Any) -> None:
        """Write a quantised model over a stage."""

    def run(self, number: int, *, exact: bool) -> Stage:
        """Return a stage at work.

        Args:
            number: Number of the stage, from 1.
            exact: Whether floating point is f32, not what the library takes by default.
        """

    def at_work(self, prepared: Any) -> Stage:
        """Return a model at work, in the form that NNCF hands it to a measure of accuracy."""

    def float_layers(self, number: int) -> tuple[str, ...]:
        """Return the names of layers with weights that compute in floating point."""

    def classifier(self, number: int) -> str | None:
        """Return the name, in the graph, of the linear layer that gives the logits, if one does."""


class OpenVinoStages:
    """Stages as OpenVINO reads them: two files each.

    The files take any number of images. At work here, and in NNCF, they take one: with a free
    number, int8 ends the process on processors with AMX (openvinotoolkit/openvino, issue 37577).

    Args:
        folder: Folder of the stages.
    """

    corrects_in_sequence = True

    def __init__(self, folder: Path) -> None:
        import openvino as ov  # noqa: PLC0415  (an extra)

        self.inputs: list[tuple[str, ...]] = []
        self._folder, self._core = folder, ov.Core()

    def write(self, graph: StageGraph) -> None:
        """See `ExportedStages`."""
        write_openvino(graph.graph, graph.example, self._path(graph.number), graph.names)
        self.inputs.append(graph.names)

    def read(self, number: int) -> Any:
        """See `ExportedStages`."""
        return _taking(1, self._core.read_model(self._path(number)))

    def replace(self, number: int, model: Any) -> None:
        """See `ExportedStages`; the model may still hold the files that are written over."""
        model = _taking(ANY_NUMBER, model)
        path, new = self._path(number), self._folder / f"int8-{number}.xml"
        save_openvino(model, new)
        for suffix in (".xml", ".bin"):
            new.with_suffix(suffix).replace(path.with_suffix(suffix))

    def run(self, number: int, *, exact: bool) -> Stage:
        """See `ExportedStages`."""
        settings = {"INFERENCE_PRECISION_HINT": "f32"} if exact else {}
        return self.at_work(self._core.compile_model(self.read(number), "CPU", settings))

    def at_work(self, prepared: Any) -> Stage:
        """See `ExportedStages`."""

        def compute(state: Arrays) -> Arrays:
            answers = prepared(state)
            return [answers[index].copy() for index in range(len(prepared.outputs))]

        return compute

    def float_layers(self, number: int) -> tuple[str, ...]:
        """See `ExportedStages`."""
        return float_layers_openvino(self.read(number))

    def classifier(self, number: int) -> str | None:
        """See `ExportedStages`."""
        return classifier_openvino(self.read(number))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.xml"


def _taking(images: int, model: Any) -> Any:
    """Return an OpenVINO model that takes so many images at once."""
    shapes = [list(port.partial_shape)[1:] for port in model.inputs]
    model.reshape({index: [images, *rest] for index, rest in enumerate(shapes)})
    return model


class OnnxStages:
    """Stages as ONNX Runtime reads them: one file each.

    Args:
        folder: Folder of the stages.
    """

    corrects_in_sequence = False  # NNCF 3.4 cuts a graph behind its input, and cannot run the rest

    def __init__(self, folder: Path) -> None:
        self.inputs: list[tuple[str, ...]] = []
        self._folder = folder

    def write(self, graph: StageGraph) -> None:
        """See `ExportedStages`."""
        write_onnx(graph.graph, graph.example, self._path(graph.number), graph.names)
        self.inputs.append(graph.names)

    def read(self, number: int) -> Any:
        """See `ExportedStages`."""
        import onnx  # noqa: PLC0415  (an extra)

        return onnx.load(self._path(number))

    def replace(self, number: int, model: Any) -> None:
        """See `ExportedStages`."""
        import onnx  # noqa: PLC0415

        onnx.save(model, self._path(number))

    def run(self, number: int, *, exact: bool) -> Stage:
        """See `ExportedStages`; ONNX Runtime computes in f32 always."""
        del exact
        return self.at_work(self.read(number))

    def at_work(self, prepared: Any) -> Stage:
        """See `ExportedStages`."""
        import onnxruntime as ort  # noqa: PLC0415  (an extra)

        model = prepared.SerializeToString()
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_inputs()]

        def compute(state: Arrays) -> Arrays:
            return list(session.run(None, dict(zip(names, state, strict=True))))

        return compute

    def float_layers(self, number: int) -> tuple[str, ...]:
        """See `ExportedStages`."""
        return float_layers_onnx(self.read(number))

    def classifier(self, number: int) -> str | None:
        """See `ExportedStages`."""
        return classifier_onnx(self.read(number))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.onnx"
