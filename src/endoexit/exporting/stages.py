"""The files of a bundle's stages."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.source import WEIGHTS
from endoexit.data.manifest import Manifest
from endoexit.errors import RunError
from endoexit.exporting.graphs import (
    StageGraph,
    graph_state,
    save_openvino,
    simplified,
    stage_graphs,
    write_onnx,
    write_openvino,
)
from endoexit.exporting.quantise import Stage, States, calibration_images, quantise
from endoexit.models.dry_run import find_state
from endoexit.models.state import StateSpec
from endoexit.precision import BackendName
from endoexit.runtime.session import Session


def write_stages(
    session: Session,
    folder: Path,
    backend: BackendName,
    *,
    int8: bool,
    manifest: Manifest | None,
) -> StateSpec:
    """Write the stages of a run; return what each hands on.

    Args:
        session: Run with weights.
        folder: Folder of the stages.
        backend: What will run them.
        int8: Whether to quantise them, on images of the role train.
        manifest: Manifest of the images; needed for int8.

    Raises:
        RunError: Int8 without a manifest.
        DataError: No image has the role train, or images cannot be read.
    """
    folder.mkdir(parents=True)
    model = session.source.load_model()
    size = session.preprocessing.size
    if backend == "torch":
        shutil.copyfile(session.source.path / WEIGHTS, folder / WEIGHTS)
        return find_state(model, size)
    model = simplified(model)
    images = _images(session, manifest) if int8 else None
    state = graph_state(model, size)
    before: list[Stage] = []
    with session.track("exporting stages", model.num_stages) as bar:
        for graph in stage_graphs(model, size):
            write = _write_openvino if backend == "openvino" else _write_onnx
            stage = write(graph, folder, images, before)
            before.append(stage)
            bar.advance()
    return state


def _images(session: Session, manifest: Manifest | None) -> NDArray[np.float32]:
    if manifest is None:
        raise RunError(
            f"int8 needs images of the role train, but {session.source.path} has no list of "
            "images: name one with --manifest."
        )
    return calibration_images(manifest, session.preprocessing, session.cache)


def _write_openvino(
    graph: StageGraph, folder: Path, images: NDArray[np.float32] | None, before: list[Stage]
) -> Stage:
    """Write one stage, int8 with images; return the unquantised stage to compute with."""
    import openvino as ov  # noqa: PLC0415

    path = folder / f"{graph.number}.xml"
    write_openvino(graph.graph, graph.example, path, graph.names)
    core = ov.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def compute(state: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        answers = compiled(state)
        return [answers[index].copy() for index in range(len(graph.shapes))]

    if images is not None:
        model = core.read_model(path)
        names = [port.any_name for port in model.inputs]
        small = quantise(model, States(images, list(before), names))
        del model  # it holds the file that is written over
        quantised = folder / f"int8-{graph.number}.xml"
        save_openvino(small, quantised)
        for suffix in (".xml", ".bin"):
            quantised.with_suffix(suffix).replace(path.with_suffix(suffix))
    return compute


def _write_onnx(
    graph: StageGraph, folder: Path, images: NDArray[np.float32] | None, before: list[Stage]
) -> Stage:
    """Write one stage, int8 with images; return the unquantised stage to compute with."""
    import onnx  # noqa: PLC0415
    import onnxruntime as ort  # noqa: PLC0415

    path = folder / f"{graph.number}.onnx"
    write_onnx(graph.graph, graph.example, path, graph.names)
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]

    def compute(state: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        answers = session.run(None, dict(zip(names, state, strict=True)))
        return list(answers[: len(graph.shapes)])

    if images is not None:
        small = quantise(onnx.load(path), States(images, list(before), names))
        onnx.save(small, path)
    return compute
