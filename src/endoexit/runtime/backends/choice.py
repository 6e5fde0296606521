"""Which backend runs a source, and at which precision."""

import importlib.util
from typing import TYPE_CHECKING

from endoexit.artifacts.source import Source, StageFiles
from endoexit.errors import UsageError
from endoexit.precision import BackendName, Device, FloatFormat, Precision
from endoexit.runtime.backends.base import Backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from endoexit.models.staged import StagedClassifier

MODULES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}


def open_backend(
    source: Source,
    precision: Precision,
    threads: int | None = None,
    load_model: "Callable[[], StagedClassifier] | None" = None,
) -> Backend:
    """Return the backend that runs the stages of a source on the CPU.

    Args:
        source: Run or bundle with weights.
        precision: One that `computed_in` returned.
        threads: Number of threads of a stage, by default that of the backend.
        load_model: Function that returns the network in PyTorch, by default that of the source.

    Raises:
        RunError: There are no weights, or they cannot be read.
        UsageError: The number of threads is less than 1.
    """
    if precision.backend != "torch":
        return open_exported(source.stage_files(), precision, threads)
    from endoexit.runtime.backends.torch import TorchBackend  # noqa: PLC0415  (torch is slow)

    model = (load_model or source.load_model)()
    return TorchBackend(model, precision.floats, threads)


def open_exported(files: StageFiles, precision: Precision, threads: int | None = None) -> Backend:
    """Return the backend that runs exported stages.

    Raises:
        UsageError: The number of threads is less than 1.
    """
    if files.backend == "openvino":
        from endoexit.runtime.backends.openvino import OpenVinoBackend  # noqa: PLC0415

        return OpenVinoBackend(files, precision, threads)
    from endoexit.runtime.backends.onnx import OnnxBackend  # noqa: PLC0415

    return OnnxBackend(files, precision, threads)


def computed_in(
    source: Source, floats: FloatFormat | None = None, device: Device = "cpu"
) -> Precision:
    """Return the precision that a source computes in.

    Args:
        source: Run or bundle.
        floats: Number format; by default the source's own. "f32" makes a bundle of bf16, or the
            part of an int8 one that is not int8, compute in f32, on a processor without bf16.
        device: Device that computes.

    Raises:
        UsageError: It cannot be had: a backend that is not installed, bf16 on a processor
            without it, a format or a device that the source does not compute in, or no GPU.
    """
    require_backend(source.backend)
    there = {computed.floats: computed for computed in source.computes if computed.device == device}
    if not there:
        raise UsageError(
            f"{source.path} is a {source.kind}, which computes on the CPU: leave --device out."
        )
    computed = there.get(next(iter(there)) if floats is None else floats)
    if computed is None:
        raise UsageError(
            f"{source.path} computes in {source.computes[0].products}, not in {floats}: leave "
            f"--precision out, or export the run with --precision {floats}."
        )
    if device != "cpu":
        _require_gpu()
    elif computed.floats == "bf16" and not has_bf16(computed.backend):
        raise UsageError(
            f"{source.path} computes in bf16, which this processor does not (it would be slower "
            "than f32). Add --precision f32; a bundle has a separate policy for it."
        )
    return computed


def _require_gpu() -> None:
    import torch  # noqa: PLC0415

    if not torch.cuda.is_available():
        raise UsageError("there is no GPU here that PyTorch can use: leave the device at cpu.")


def require_backend(backend: BackendName) -> None:
    """Refuse a backend that is not installed.

    Raises:
        UsageError: The backend is not installed; the message names the extra that installs it.
    """
    if importlib.util.find_spec(MODULES[backend]) is None:
        raise UsageError(
            f"the backend {backend} is not installed: pip install 'endoexit[{backend}]'."
        )


def has_bf16(backend: BackendName) -> bool:
    """Return whether a backend computes in bf16 on this processor."""
    if backend == "openvino":
        from endoexit.runtime.backends.openvino import computes_bf16  # noqa: PLC0415

        return computes_bf16()
    if backend == "onnx":
        return False
    from endoexit.runtime.backends.torch import supports_bf16  # noqa: PLC0415

    return supports_bf16()
