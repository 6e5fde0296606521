"""From a folder that a user names to an engine that predicts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endoexit.policy import ExitPolicy, fixed_exit, threshold_policy
from endoexit.policy.records import Provenance
from endoexit.runs import Run, open_run
from endoexit.runtime.engine import Backend, Engine

POLICY = "policy.json"
NO_POLICY = "the last exit, as there is no policy"


@dataclass(frozen=True)
class Opened:
    """What predicts, and where it comes from.

    Attributes:
        engine: ready to predict.
        classes: names in the order of the logits.
        decided_by: the policy and its origin, in words.
    """

    engine: Engine
    classes: tuple[str, ...]
    decided_by: str


def open_engine(
    path: Path,
    *,
    threshold: float | None = None,
    deadline_ms: float | None = None,
    threads: int | None = None,
    precision: Literal["f32", "bf16"] = "f32",
) -> Opened:
    """Open a run for prediction.

    Args:
        path: the run folder.
        threshold: images leave at the first exit whose largest probability reaches it; by
            default the run's own policy decides, and without one the last exit answers.
        deadline_ms: see `Engine`.
        threads: threads of a stage, by default all cores that this process may use.
        precision: that the stages compute in.

    Raises:
        RunError: it is no run folder, or has no weights.
        PolicyError: its policy was fitted for other weights or another precision.
        UsageError: a number out of range, or bf16 on a processor without it.
    """
    run = open_run(path)
    from endoexit.runtime.torch_backend import TorchBackend  # noqa: PLC0415  (torch is slow)

    backend = TorchBackend(run.load_model(), precision, threads)
    policy, decided_by = _choose_policy(run, backend, threshold)
    engine = Engine(backend, policy, run.config.preprocessing, deadline_ms)
    return Opened(engine, run.classes, decided_by)


def _choose_policy(run: Run, backend: Backend, threshold: float | None) -> tuple[ExitPolicy, str]:
    exits = backend.num_stages
    if threshold is not None:
        words = f"largest probability of {threshold:g} or more, as asked for"
        return threshold_policy(exits, threshold), words
    policy = read_policy(run, backend.precision)
    if policy is None:
        return fixed_exit(exits, exits), NO_POLICY
    return policy, f"{run.path / POLICY}: {policy.goal or policy.rule}"


def served_provenance(run: Run, precision: str, manifest_sha256: str | None = None) -> Provenance:
    """Return what a run serves: what its policy must have been fitted for.

    Args:
        run: with weights.
        precision: backend and numeric precision, such as "torch-f32".
        manifest_sha256: of the manifest that a policy is fitted on.
    """
    return Provenance(
        weights_sha256=run.weights_sha256,
        preprocessing=run.config.preprocessing.fingerprint(),
        precision=precision,
        classes=run.classes,
        manifest_sha256=manifest_sha256,
    )


def read_policy(run: Run, precision: str) -> ExitPolicy | None:
    """Return the policy of a run, or None when it has none.

    Args:
        run: with weights.
        precision: see `served_provenance`.

    Raises:
        PolicyError: it cannot be read, or was fitted for other weights, preprocessing, classes
            or precision.
    """
    file = run.path / POLICY
    if not file.is_file():
        return None
    policy = ExitPolicy.read(file)
    policy.require_served_as(served_provenance(run, precision))
    return policy
