"""From a folder that a user names to an engine that predicts."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from endoexit.artifacts.bundle import Bundle, Source, open_source
from endoexit.artifacts.run import Run
from endoexit.errors import PolicyError, UsageError
from endoexit.policy import ExitPolicy, fixed_exit, threshold_policy
from endoexit.policy.document import Provenance
from endoexit.precision import BackendName, FloatFormat, Precision
from endoexit.runtime.backends.base import Backend
from endoexit.runtime.engine import Engine

POLICY = "policy.json"
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
    if computed.backend == "openvino":
        from endoexit.runtime.backends.openvino import OpenVinoBackend  # noqa: PLC0415

        assert isinstance(source, Bundle)  # noqa: S101  (runs compute in PyTorch)
        return OpenVinoBackend(source, computed, threads)
    if computed.backend == "onnx":
        from endoexit.runtime.backends.onnx import OnnxBackend  # noqa: PLC0415

        assert isinstance(source, Bundle)  # noqa: S101
        return OnnxBackend(source, computed, threads)
    from endoexit.runtime.backends.torch import TorchBackend  # noqa: PLC0415  (torch is slow)

    return TorchBackend(source.load_model(), computed.floats, threads)


def computed_in(source: Source, precision: FloatFormat | None = None) -> Precision:
    """Return what a source computes in.

    Args:
        source: a run or a bundle.
        precision: of a run, by default "f32". A bundle has its own; "f32" makes one of bf16, or
            the part of an int8 one that is not int8, compute in f32, on a processor without bf16.

    Raises:
        UsageError: it cannot be had: a backend that is not installed, bf16 on a processor
            without it, or bf16 of a bundle that has none.
    """
    if isinstance(source, Run):
        if precision == "bf16":
            from endoexit.runtime.backends.torch import require_bf16  # noqa: PLC0415

            require_bf16()
        floats = precision or "f32"
        return Precision("torch", floats, floats)
    config = source.config
    require_backend(config.backend)
    available = {computed.floats: computed for computed in config.computes}
    computed = available.get(precision or config.computes[0].floats)
    if computed is None:
        raise UsageError(
            f"{source.path} computes in {config.precision}, not in {precision}: leave --precision "
            f"out, or export the run with --precision {precision}."
        )
    if computed.floats == "bf16" and not has_bf16(config.backend):
        raise UsageError(
            f"{source.path} computes in bf16, which this processor does not. Add --precision f32 "
            "for slower answers in f32, for which the bundle has a policy of its own."
        )
    return computed


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
    file = policy_file(source, backend.precision)
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


def policy_file(source: Source, precision: Precision) -> Path | None:
    """Return where the policy for a precision is, or None when the source has none.

    Raises:
        PolicyError: a bundle has policies, but none for this precision.
    """
    if isinstance(source, Run):
        file = source.path / POLICY
        return file if file.is_file() else None
    policies = source.config.policies
    if not policies:
        return None
    if str(precision) not in policies:
        raise PolicyError(
            f"{source.path} has no policy for {precision}, only for {', '.join(policies)}: give "
            "a threshold, or export the run again."
        )
    return source.path / policies[str(precision)]


def read_policy(source: Source, precision: Precision) -> ExitPolicy | None:
    """Return the policy of a run or a bundle, or None when it has none.

    Args:
        source: with weights.
        precision: see `computed_in`.

    Raises:
        PolicyError: it cannot be read, or was fitted for other weights, preprocessing, classes
            or precision.
    """
    file = policy_file(source, precision)
    if file is None:
        return None
    policy = ExitPolicy.read(file)
    policy.require_served_as(served_provenance(source, precision))
    return policy
