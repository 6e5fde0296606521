"""Logits of all exits on one role: computed once, kept, and found again by their key."""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from endoexit.artifacts.bundle import Source, results_folder
from endoexit.artifacts.run import Run
from endoexit.data.manifest import Cohort, Manifest
from endoexit.errors import ModelError, UsageError
from endoexit.files import replacing, sha256_bytes, write_json
from endoexit.images.cache import cache_images, contents_sha256
from endoexit.policy.logits import LogitSet
from endoexit.precision import Device, FloatFormat, Precision
from endoexit.progress import Bar, Track, silent
from endoexit.runtime.exits import AnswerAll, all_exits
from endoexit.runtime.session import computed_in, open_backend

FOLDER = "logits"
FORMAT_VERSION = 1
BATCH_SIZE = 32


@dataclass(frozen=True)
class RoleLogits:
    """Logits of all exits on the images of one role.

    Attributes:
        role: Role of the images.
        logits: Logits (M, N, C), float32, finite.
        labels: Class indices (N,), int64.
        groups: Names (N,) of the groups.
        paths: N paths, relative to the root of the data.
        classes: C names, in the order of the logits.
        precision: What computed them.
        contents_sha256: Hash of the content of the images.
        file: File in which they are kept.
    """

    role: str
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[Any]
    paths: tuple[str, ...]
    classes: tuple[str, ...]
    precision: Precision
    contents_sha256: str
    file: Path

    def as_set(self) -> LogitSet:
        """Return them as exit policies are fitted on."""
        return LogitSet(self.role, self.logits, self.labels, self.groups)


def collect_logits(
    run: Source,
    role: str,
    *,
    precision: FloatFormat | None = None,
    device: Device = "cpu",
    manifest: Manifest | None = None,
    cache: Path | None = None,
    out: Path | None = None,
    track: Track = silent,
) -> RoleLogits:
    """Return the logits of every exit on every image of a role.

    They are computed once and kept as `logits/<role>-<key>.npz` in the run, or next to the
    bundle, with a `.json` that says what they are of. The key holds the weights, the
    preprocessing, the precision, the manifest and the content of the images: after a change of
    any of them they are computed again.

    Args:
        run: Run with weights, or bundle.
        role: One of `endoexit.data.rows.ROLES`.
        precision: See `endoexit.runtime.session.computed_in`.
        device: "cpu", or "cuda" where there is a GPU.
        manifest: Manifest in place of the run's own.
        cache: Folder of decoded images, by default the user's.
        out: Folder to keep them in, in place of `endoexit.artifacts.bundle.results_folder`.
        track: What shows progress.

    Raises:
        RunError: The run has no weights or no manifest.
        DataError: No image has the role, or images cannot be read.
        UsageError: Bf16 on a processor without it, no GPU, or a manifest of other classes.
        ModelError: The network gives values that are not finite.
    """
    manifest = manifest or run.manifest()
    if manifest.classes != run.classes:
        raise UsageError(
            f"{manifest.path} was read with the classes {', '.join(manifest.classes)}, but the "
            f"network of {run.path} knows {', '.join(run.classes)}: read it with the run's classes."
        )
    cohort = manifest.cohort(role)
    computed = _computed_in(run, precision, device)
    contents = contents_sha256(cohort.images)
    facts = _facts(run, manifest, role, computed) | {"images_sha256": contents}
    key = sha256_bytes(repr(sorted(facts.items())).encode())[:16]
    file = results_folder(run.path, out) / FOLDER / f"{role}-{key}.npz"
    logits = _stored(file)
    if logits is None:
        with track("decoding images", len(cohort)) as bar:
            cached = cache_images(cohort.images, run.config.preprocessing, cache, bar.advance)
        with track(f"logits of {run.path.name}", len(cohort)) as bar:
            parts = _batches(run, cached.images, computed, bar)
            logits = np.concatenate(list(parts), axis=1)
        if not np.isfinite(logits).all():
            raise ModelError(
                f"the network of {run.path} gives logits that are not finite on the role "
                f"{role!r}: its weights are damaged, or {computed} is too coarse for it."
            )
        _store(file, logits, cohort, facts)
    return RoleLogits(
        role=role,
        logits=logits,
        labels=cohort.labels,
        groups=cohort.groups,
        paths=cohort.names,
        classes=run.classes,
        precision=computed,
        contents_sha256=contents,
        file=file,
    )


def _computed_in(run: Source, precision: FloatFormat | None, device: Device) -> Precision:
    """Return what computes the logits, by which policies are fitted."""
    if device == "cpu":
        return computed_in(run, precision)
    if not isinstance(run, Run):
        raise UsageError(f"{run.path} is a bundle, which computes on the CPU: leave --device out.")
    if not torch.cuda.is_available():
        raise UsageError("there is no GPU here that PyTorch can use: leave the device at cpu.")
    floats = precision or "f32"
    return Precision("torch", floats, floats, device)


def _facts(run: Source, manifest: Manifest, role: str, precision: Precision) -> dict[str, str]:
    return {
        "format": str(FORMAT_VERSION),
        "role": role,
        "weights_sha256": run.weights_sha256,
        "preprocessing": run.config.preprocessing.fingerprint(),
        "precision": str(precision),
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


def _batches(
    run: Source, images: NDArray[np.uint8], precision: Precision, bar: Bar
) -> Iterator[NDArray[np.float32]]:
    """Yield the logits (M, B, C) of one batch after the other."""
    if precision.device == "cpu":
        answer = all_exits(open_backend(run, precision.floats, torch.get_num_threads()))
    else:
        answer = _on_gpu(run, precision)
    for start in range(0, len(images), BATCH_SIZE):
        batch = run.config.preprocessing.normalise(images[start : start + BATCH_SIZE])
        yield answer(batch)
        bar.advance(len(batch))


def _on_gpu(run: Source, precision: Precision) -> AnswerAll:
    device = precision.device
    model = run.load_model().to(device)
    bf16 = precision.floats == "bf16"

    @torch.inference_mode()
    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            exits = model(torch.from_numpy(batch).to(device))
        found: NDArray[np.float32] = torch.stack(exits).float().cpu().numpy()
        return found

    return answer


def _store(
    file: Path,
    logits: NDArray[np.float32],
    cohort: Cohort,
    facts: dict[str, str],
) -> None:
    write_json(file.with_suffix(".json"), facts | {"classes": list(cohort.classes)})
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            logits=logits,
            labels=cohort.labels,
            groups=cohort.groups,
            paths=np.array(cohort.names),
        )
