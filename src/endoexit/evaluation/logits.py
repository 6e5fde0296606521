"""Logits of all exits on one role: computed once, kept in the run, found again by their key."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from endoexit.data.cache import cache_images
from endoexit.data.manifest import Cohort, Manifest
from endoexit.errors import ModelError, UsageError
from endoexit.evaluation.progress import Bar, Track, silent
from endoexit.files import replacing, sha256_bytes, write_json
from endoexit.policy.logits import LogitSet
from endoexit.runs import Run
from endoexit.runtime.torch_backend import supports_bf16

FOLDER = "logits"
FORMAT_VERSION = 1
BATCH_SIZE = 32

Precision = Literal["f32", "bf16"]


@dataclass(frozen=True)
class RoleLogits:
    """Logits of all exits on the images of one role.

    Attributes:
        role: of the images.
        logits: (M, N, C) float32, finite.
        labels: (N,) int64 class indices.
        groups: (N,) names of the groups.
        paths: N paths relative to the root of the data.
        classes: C names, in the order of the logits.
        precision: what computed them, such as "torch-f32".
        file: where they are kept.
    """

    role: str
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[Any]
    paths: tuple[str, ...]
    classes: tuple[str, ...]
    precision: str
    file: Path

    def as_set(self) -> LogitSet:
        """Return them as exit policies are fitted on."""
        return LogitSet(self.role, self.logits, self.labels, self.groups)


def collect_logits(
    run: Run,
    role: str,
    *,
    precision: Precision = "f32",
    device: str = "cpu",
    manifest: Manifest | None = None,
    cache: Path | None = None,
    track: Track = silent,
) -> RoleLogits:
    """Return the logits of every exit on every image of a role.

    They are computed once and kept in the run as `logits/<role>-<key>.npz`, with a `.json`
    that says what they are of. The key holds the weights, the preprocessing, the precision and
    the manifest: after a change of any of them they are computed again.

    Args:
        run: a run with weights.
        role: one of `endoexit.data.manifest.ROLES`.
        precision: that the stages compute in.
        device: "cpu", or "cuda" where there is a GPU.
        manifest: in place of the run's own.
        cache: folder of decoded images, by default the user's.
        track: shows progress.

    Raises:
        RunError: the run has no weights or no manifest.
        DataError: no image has the role, or images cannot be read.
        UsageError: bf16 on a processor without it, no GPU, or a manifest of other classes.
        ModelError: the network gives values that are not finite.
    """
    manifest = manifest or run.manifest()
    if manifest.classes != run.classes:
        raise UsageError(
            f"{manifest.path} was read with the classes {', '.join(manifest.classes)}, but the "
            f"network of {run.path} knows {', '.join(run.classes)}: read it with the run's classes."
        )
    cohort = manifest.cohort(role)
    compute = _Compute(torch.device(device), precision)
    facts = _facts(run, manifest, role, compute.name)
    key = sha256_bytes(repr(sorted(facts.items())).encode())[:16]
    file = run.path / FOLDER / f"{role}-{key}.npz"
    logits = _stored(file)
    if logits is None:
        with track("decoding images", len(cohort)) as bar:
            cached = cache_images(cohort.paths, run.config.preprocessing, cache, bar.advance)
        with track(f"logits of {run.path.name}", len(cohort)) as bar:
            logits = _compute(run, cohort, cached.images, compute, bar)
        _store(file, logits, cohort, manifest, facts)
    return RoleLogits(
        role=role,
        logits=logits,
        labels=cohort.labels,
        groups=cohort.groups,
        paths=_relative(cohort, manifest),
        classes=run.classes,
        precision=compute.name,
        file=file,
    )


@dataclass(frozen=True)
class _Compute:
    """Where and how the stages compute."""

    device: torch.device
    precision: Precision

    def __post_init__(self) -> None:
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise UsageError("there is no GPU here that PyTorch can use: leave the device at cpu.")
        if self.device.type == "cpu" and self.precision == "bf16" and not supports_bf16():
            raise UsageError("this processor does not compute in bf16: use --precision f32.")

    @property
    def name(self) -> str:
        """The name by which a policy knows what computed its logits."""
        return "-".join(("torch", *["cuda"] * (self.device.type == "cuda"), self.precision))

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def _facts(run: Run, manifest: Manifest, role: str, precision: str) -> dict[str, str]:
    return {
        "format": str(FORMAT_VERSION),
        "role": role,
        "weights_sha256": run.weights_sha256,
        "preprocessing": run.config.preprocessing.fingerprint(),
        "precision": precision,
        "manifest_sha256": manifest.sha256,
        "classes": ", ".join(run.classes),
    }


def _stored(file: Path) -> NDArray[np.float32] | None:
    """Return logits that are kept; None when there are none, or the file is damaged."""
    try:
        # Opened here: np.load leaves a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            logits: NDArray[np.float32] = archive["logits"]
            return logits
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _compute(
    run: Run, cohort: Cohort, images: NDArray[np.uint8], compute: "_Compute", bar: Bar
) -> NDArray[np.float32]:
    model = run.load_model().to(compute.device)
    parts = []
    with torch.inference_mode(), compute.autocast():
        for start in range(0, len(cohort), BATCH_SIZE):
            batch = run.config.preprocessing.normalise(images[start : start + BATCH_SIZE])
            exits = model(torch.from_numpy(batch).to(compute.device))
            parts.append(torch.stack(exits).float().cpu().numpy())
            bar.advance(len(batch))
    logits = np.concatenate(parts, axis=1)
    if not np.isfinite(logits).all():
        raise ModelError(
            f"the network of {run.path} gives logits that are not finite on the role "
            f"{cohort.role!r}: its weights are damaged, or {compute.name} is too coarse for it."
        )
    return logits


def _store(
    file: Path,
    logits: NDArray[np.float32],
    cohort: Cohort,
    manifest: Manifest,
    facts: dict[str, str],
) -> None:
    write_json(file.with_suffix(".json"), facts | {"classes": list(cohort.classes)})
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            logits=logits,
            labels=cohort.labels,
            groups=cohort.groups,
            paths=np.array(_relative(cohort, manifest)),
        )


def _relative(cohort: Cohort, manifest: Manifest) -> tuple[str, ...]:
    return tuple(path.relative_to(manifest.root).as_posix() for path in cohort.paths)
