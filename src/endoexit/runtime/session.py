"""From a folder that a user names to an engine that predicts."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from endoexit.artifacts.bundle import open_source
from endoexit.artifacts.source import Source, StageFiles
from endoexit.errors import UsageError
from endoexit.policy import ExitPolicy, fixed_exit, threshold_policy
from endoexit.policy.document import Provenance
from endoexit.precision import BackendName, Device, FloatFormat, Precision
from endoexit.runtime.engine import Backend, Engine

NO_POLICY = "the last exit, as there is no policy"
MODULES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}


@dataclass(frozen=True)
class Opened:
    """What predicts, and where it comes from.

    Attributes:
        source: the run or the bundle.
        engine: ready to predict.
        decided_by: the policy and its origin, in words.
    """

    source: Source
    engine: Engine
    decided_by: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the logits."""
        return self.source.classes


def open_engine(
    path: Path,
    *,
    threshold: float | None = None,
    deadline_ms: float | None = None,
    threads: int | None = None,
    precision: FloatFormat | None = None,
) -> Opened:
    """Open a run or a bundle for prediction.

    Args:
        path: the folder.
        threshold: images leave at the first exit whose largest probability reaches it; by
            default the policy in the folder decides, and without one the last exit answers.
        deadline_ms: see `Engine`.
        threads: threads of a stage, by default all cores that this process may use.
        precision: see `computed_in`.

    Raises:
        RunError: it is neither, has no weights, or a file of a bundle is missing or was changed.
        PolicyError: its policy was fitted for other weights or another precision.
        UsageError: a number out of range, a precision that cannot be had here, or a backend
            that is not installed.
    """
    source = open_source(path)
    backend = open_backend(source, precision, threads)
    policy, decided_by = choose_policy(source, backend, threshold)
    engine = Engine(backend, policy, source.config.preprocessing, deadline_ms)
    return Opened(source, engine, decided_by)


def open_backend(
    source: Source, precision: FloatFormat | None, threads: int | None = None
) -> Backend:
    """Return what runs the stages of a run or a bundle.

    Args:
        source: with weights.
        precision: see `computed_in`.
        threads: threads of a stage, by default all cores that this process may use.

    Raises:
        RunError, UsageError: see `open_engine`.
    """
    computed = computed_in(source, precision)
    if computed.backend != "torch":
        return open_exported(source.stage_files(), computed, threads)
    from endoexit.runtime.backends.torch import TorchBackend  # noqa: PLC0415  (torch is slow)

    return TorchBackend(source.load_model(), computed.floats, threads)


def open_exported(files: StageFiles, precision: Precision, threads: int | None = None) -> Backend:
    """Return what runs exported stages.

    Raises:
        UsageError: no thread.
    """
    if files.backend == "openvino":
        from endoexit.runtime.backends.openvino import OpenVinoBackend  # noqa: PLC0415

        return OpenVinoBackend(files, precision, threads)
    from endoexit.runtime.backends.onnx import OnnxBackend  # noqa: PLC0415

    return OnnxBackend(files, precision, threads)


def computed_in(
    source: Source, floats: FloatFormat | None = None, device: Device = "cpu"
) -> Precision:
    """Return what a source computes in.

    Args:
        source: a run or a bundle.
        floats: Number format; by default the source's own. "f32" makes a bundle of bf16, or the
            part of an int8 one that is not int8, compute in f32, on a processor without bf16.
        device: Device that computes.

    Raises:
        UsageError: it cannot be had: a backend that is not installed, bf16 on a processor
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
            "than f32). Add --precision f32; a bundle has a policy of its own for it."
        )
    return computed


def _require_gpu() -> None:
    import torch  # noqa: PLC0415

    if not torch.cuda.is_available():
        raise UsageError("there is no GPU here that PyTorch can use: leave the device at cpu.")


def require_backend(backend: BackendName) -> None:
    """Refuse a backend that is not installed.

    Raises:
        UsageError: names the extra that installs it.
    """
    if importlib.util.find_spec(MODULES[backend]) is None:
        raise UsageError(
            f"the backend {backend} is not installed: pip install 'endoexit[{backend}]'."
        )


def has_bf16(backend: BackendName) -> bool:
    """Tell whether a backend computes in bf16 on this processor."""
    if backend == "openvino":
        from endoexit.runtime.backends.openvino import computes_bf16  # noqa: PLC0415

        return computes_bf16()
    if backend == "onnx":
        return False
    from endoexit.runtime.backends.torch import supports_bf16  # noqa: PLC0415

    return supports_bf16()


def choose_policy(
    source: Source, backend: Backend, threshold: float | None
) -> tuple[ExitPolicy, str]:
    """Return what decides who leaves where, and its origin in words; see `open_engine`."""
    exits = backend.num_stages
    if threshold is not None:
        words = f"largest probability of {threshold:g} or more, as asked for"
        return threshold_policy(exits, threshold), words
    policy = read_policy(source, backend.precision)
    if policy is None:
        return fixed_exit(exits, exits), NO_POLICY
    file = source.policy_file(backend.precision)
    return policy, f"{file}: {policy.goal or policy.rule.kind}"


def served_provenance(
    source: Source, precision: Precision, manifest_sha256: str | None = None
) -> Provenance:
    """Return what a run or a bundle serves: what its policy must have been fitted for.

    Args:
        source: with weights.
        precision: see `computed_in`.
        manifest_sha256: of the manifest that a policy is fitted on.
    """
    return Provenance(
        weights_sha256=source.weights_sha256,
        preprocessing=source.config.preprocessing.fingerprint(),
        precision=str(precision),
        classes=source.classes,
        manifest_sha256=manifest_sha256,
    )


def read_policy(source: Source, precision: Precision) -> ExitPolicy | None:
    """Return the policy of a run or a bundle, or None when it has none.

    Args:
        source: with weights.
        precision: see `computed_in`.

    Raises:
        PolicyError: it cannot be read, or was fitted for other weights, preprocessing, classes
            or precision.
    """
    file = source.policy_file(precision)
    if file is None:
        return None
    policy = ExitPolicy.read(file)
    policy.require_served_as(served_provenance(source, precision))
    return policy
