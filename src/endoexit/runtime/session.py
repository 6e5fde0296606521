"""`Session`: a run or a bundle that a command works with. Every step happens once."""

from dataclasses import dataclass, field, replace
from functools import cache as once
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.bundle import open_source
from endoexit.artifacts.source import LOGITS, Source
from endoexit.data.manifest import Cohort, Manifest, read_manifest
from endoexit.errors import ModelError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.precision import Device, FloatFormat, Precision
from endoexit.progress import Track, silent
from endoexit.runtime.backends.base import Backend
from endoexit.runtime.backends.choice import computed_in, open_backend
from endoexit.runtime.deciding import Decider, decide
from endoexit.runtime.engine import Engine
from endoexit.runtime.exits import AnswerAll, all_exits, features_at_first_exit

if TYPE_CHECKING:
    from endoexit.models.staged import StagedClassifier
    from endoexit.runtime.logits import RoleLogits

BATCH_SIZE = 32


@dataclass(frozen=True, eq=False)
class Session:
    """A run or a bundle that a command works with: see `open_session`.

    The backend is opened, a cohort decoded and its logits computed when they are first asked
    for, and once.

    Attributes:
        source: Run or bundle.
        precision: Precision of its answers.
        threshold: Threshold that replaces its policy; None for none.
        deadline_ms: Deadline of an answer, see `Engine`.
        threads: Number of threads of a stage; None for the default of the backend.
        other_manifest: Manifest that replaces that of the source; None for none.
        cache: Folder of decoded images; None for the user's.
        results: Folder for results, such as logits and evaluations.
        track: Display of progress.
    """

    source: Source
    precision: Precision
    threshold: float | None = None
    deadline_ms: float | None = None
    threads: int | None = None
    other_manifest: Manifest | None = None
    cache: Path | None = None
    results: Path = field(kw_only=True)
    track: Track = silent
    _logits: dict[str, "RoleLogits"] = field(default_factory=dict, init=False, repr=False)
    _images: dict[str, NDArray[np.uint8]] = field(default_factory=dict, init=False, repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.source.classes

    @property
    def preprocessing(self) -> Preprocessing:
        """Way from an image to the network's input."""
        return self.source.config.preprocessing

    @cached_property
    def network(self) -> "StagedClassifier":
        """Network in PyTorch, in evaluation mode on the CPU.

        Raises:
            RunError, ModelError: See `Source.load_model`.
        """
        return self.source.load_model()

    @cached_property
    def backend(self) -> Backend:
        """Backend that runs the stages on the CPU.

        Raises:
            RunError: There are no weights, or they cannot be read.
            UsageError: The number of threads is less than 1.
        """
        return self.another_backend()

    def another_backend(self) -> Backend:
        """Return a new backend, so that two threads may run stages at the same time.

        Raises:
            RunError, UsageError: See `backend`.
        """
        return open_backend(self.source, self.precision, self.threads, lambda: self.network)

    @cached_property
    def decider(self) -> Decider:
        """What decides where images exit; see `decide`."""
        return self.decide(self.backend.num_stages)

    def decide(self, exits: int) -> Decider:
        """Return what decides where images exit, given the number of exits."""
        return decide(self.source, self.precision, exits, self.threshold)

    @property
    def adaptive(self) -> bool:
        """Whether the policy decides for each image."""
        return self.decider.policy.rule.kind != "fixed"

    @cached_property
    def engine(self) -> Engine:
        """Engine that predicts, with stages as one where the policy allows it.

        Raises:
            RunError, PolicyError, UsageError: See `backend` and `decide`.
        """
        policy, view = self.decider.policy, self.preprocessing
        # At the edge of two stages int8 rounds once more, so answers as one would differ.
        fused = self.precision.products != "int8"
        return Engine(self.backend, policy, view, self.deadline_ms, fused=fused)

    @cached_property
    def manifest(self) -> Manifest:
        """Manifest that the user named, else that of the source.

        Raises:
            RunError, DataError: See `Source.manifest`.
            UsageError: It was read with other classes.
        """
        manifest = self.other_manifest or self.source.manifest()
        if manifest.classes != self.classes:
            raise UsageError(
                f"{manifest.path} was read with the classes {', '.join(manifest.classes)}, but the "
                f"network of {self.source.path} knows {', '.join(self.classes)}: read it with the "
                "run's classes."
            )
        return manifest

    def images(self, cohort: Cohort) -> NDArray[np.uint8]:
        """Return the preprocessed images of a cohort, uint8 (N, S, S, 3), from the cache.

        Raises:
            DataError: Images cannot be read.
        """
        from endoexit.images.cache import cache_images  # noqa: PLC0415  (predicting needs none)

        if cohort.role not in self._images:
            with self.track("decoding images", len(cohort)) as bar:
                cached = cache_images(
                    cohort.images,
                    self.preprocessing,
                    self.cache,
                    bar.advance,
                    mention=cohort.mention,
                )
            self._images[cohort.role] = cached.images
        return self._images[cohort.role]

    def logits(self, role: str) -> "RoleLogits":
        """Return the logits of every exit on every image of a role.

        They are computed once and kept as `logits/<role>-<key>.npz` among the results, with a
        `.json` that says what they are of. The key holds the weights, the preprocessing, the
        precision, the manifest and the content of the images: after a change of any of them they
        are computed again.

        Args:
            role: One of `endoexit.data.rows.ROLES`.

        Raises:
            RunError: The run has no weights or no manifest.
            DataError: No image has the role, or images cannot be read.
            ModelError: The network gives values that are not finite.
        """
        from endoexit.runtime.logits import kept_logits  # noqa: PLC0415  (predicting needs none)

        if role not in self._logits:
            cohort = self.manifest.cohort(role)
            facts = {
                "weights_sha256": self.source.weights_sha256,
                "preprocessing": self.preprocessing.fingerprint(),
                "manifest_sha256": self.manifest.sha256,
            }
            kept = kept_logits(self.results / LOGITS, cohort, self.precision, facts, self._answers)
            features = once(lambda: self.features(self.images(cohort)))
            self._logits[role] = replace(kept, features=features)
        return self._logits[role]

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (N, D) at exit 1 of preprocessed images (N, S, S, 3).

        Raises:
            UsageError: The network has one exit, or a GPU computes.
        """
        if self.precision.device != "cpu":
            raise UsageError(
                "features of exit 1 are computed on the CPU: leave out --device, or take "
                "--unlike-by energy."
            )
        answer = features_at_first_exit(self.backend)
        starts = range(0, len(images), BATCH_SIZE)
        batches = (images[start : start + BATCH_SIZE] for start in starts)
        return np.concatenate([answer(self.preprocessing.normalise(batch)) for batch in batches])

    def _answers(self, cohort: Cohort) -> NDArray[np.float32]:
        """Return the logits (M, N, C) of a cohort, computed now."""
        images, parts = self.images(cohort), []
        with self.track(f"logits of {self.source.path.name}", len(cohort)) as bar:
            for start in range(0, len(images), BATCH_SIZE):
                parts.append(self.answers(images[start : start + BATCH_SIZE]))
                bar.advance(parts[-1].shape[1])
        return np.concatenate(parts, axis=1)

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (M, N, C) of one batch of preprocessed images (N, S, S, 3).

        Raises:
            ModelError: The network gives values that are not finite.
        """
        logits = self._answer_all(self.preprocessing.normalise(images))
        if not np.isfinite(logits).all():
            raise ModelError(
                f"the network of {self.source.path} gives logits that are not finite: its weights "
                f"are damaged, or {self.precision} is too coarse for it."
            )
        return logits

    @cached_property
    def _answer_all(self) -> AnswerAll:
        if self.precision.device == "cpu":
            return all_exits(self.backend)
        from endoexit.runtime.backends.torch import all_exits_on_gpu  # noqa: PLC0415

        return all_exits_on_gpu(self.source.load_model(), self.precision)


def open_session(
    source: Source | Path,
    *,
    precision: FloatFormat | None = None,
    device: Device = "cpu",
    threshold: float | None = None,
    deadline_ms: float | None = None,
    threads: int | None = None,
    manifest: Manifest | Path | None = None,
    cache: Path | None = None,
    out: Path | None = None,
    track: Track = silent,
) -> Session:
    """Open a run or a bundle for one command.

    Args:
        source: Run or bundle, or its folder.
        precision: Number format, see `computed_in`.
        device: Device that computes logits: "cpu", or "cuda" where there is a GPU.
        threshold: Images exit at the first exit whose largest probability reaches it. By default
            the policy in the folder decides; without one, every image goes to the last exit.
        deadline_ms: Deadline of an answer, see `Engine`.
        threads: Number of threads of a stage, by default that of the backend.
        manifest: Manifest that replaces that of the source.
        cache: Folder of decoded images, by default the user's.
        out: Folder for results, by default that of `Source.results`.
        track: Display of progress.

    Raises:
        RunError: It is neither a run nor a bundle, or a file of a bundle is missing or changed.
        DataError: The manifest is not there, or does not fit.
        UsageError: A precision or a device that cannot be had here, a backend that is not
            installed, or a folder in a bundle.
    """
    opened = open_source(source) if isinstance(source, Path) else source
    if isinstance(manifest, Path):
        manifest = read_manifest(manifest, classes=opened.classes)
    return Session(
        source=opened,
        precision=computed_in(opened, precision, device),
        threshold=threshold,
        deadline_ms=deadline_ms,
        threads=threads,
        other_manifest=manifest,
        cache=cache,
        results=opened.results(out),
        track=track,
    )
