"""One export, start to end: stages, precision, accuracy, policies, card; whole or not at all."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from endoexit.artifacts.bundle import Bundle, hashed, write_bundle
from endoexit.artifacts.bundle_document import BundleConfig, ExitFacts
from endoexit.artifacts.run import Run
from endoexit.artifacts.source import POLICY, STAGES, Source
from endoexit.data.manifest import Manifest
from endoexit.errors import ModelError, RunError, UsageError, counted
from endoexit.evaluation.fitting import require_unseen
from endoexit.exporting.bundle_card import write_bundle_card
from endoexit.exporting.int8_drop import Reference
from endoexit.exporting.policies import RunPolicy, read_run_policy
from endoexit.exporting.quantise import IMAGES, Int8, calibration_images
from endoexit.exporting.requirements import computed_precisions, require_export
from endoexit.exporting.stages import write_stages
from endoexit.files import replacing_folder, require_new_folder
from endoexit.machine import describe_machine, library_versions
from endoexit.models.state import StateSpec
from endoexit.policy import ExitPolicy
from endoexit.precision import BackendName, NumberFormat, Precision
from endoexit.runtime.session import Session

LARGEST_DROP = 0.01


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        backend: Library that will run the stages.
        precision: Number format of their products.
        accept_drop: Whether an exit may lose more accuracy than `max_drop`.
        max_drop: Largest drop of the accuracy of an exit on calibrate; layers of int8 are left in
            floating point until it is kept.
        range_images: Largest number of images of the train role that int8 takes its ranges from;
            None for `IMAGES`.
        command: Command line, for the record.
    """

    backend: BackendName = "openvino"
    precision: NumberFormat = "f32"
    accept_drop: bool = False
    max_drop: float = LARGEST_DROP
    range_images: int | None = None
    command: str = ""


@dataclass(frozen=True)
class Exported:
    """A bundle that was made.

    Attributes:
        bundle: Bundle, in its folder.
        policies: Policy for each precision that the bundle computes in.
        without: Reason why there is no policy, or no accuracy; empty when nothing is missing.
    """

    bundle: Bundle
    policies: dict[Precision, ExitPolicy]
    without: str = ""


def export_run(session: Session, out: Path, options: ExportOptions) -> Exported:
    """Export a run as a bundle.

    The logits of another backend or precision differ, so the accuracy of every exit is measured
    again on calibrate, and the run's policy is found again for the same goal: a guarantee is
    proven again on certify.

    Args:
        session: Run with weights. Its threads are for times, where the policy is about them.
        out: Folder of the bundle; it must not exist, or be empty.
        options: See `ExportOptions`.

    Raises:
        UsageError: A precision that the backend or this processor does not have, something that
            is not installed, a folder with content, threads where no times are measured, or a
            number of images for a precision that needs none.
        EndoexitError: The folder cannot be written.
        ModelError: An exit loses more accuracy than `max_drop`.
        RunError, DataError: the run has no weights, or images that are needed are missing.
        PolicyError: No policy meets the goal at this precision, or the run's was found on the
            images of another manifest.
    """
    require_export(options.backend, options.precision)
    if options.range_images is not None and options.precision != "int8":
        raise UsageError(
            f"--range-images is for int8, which takes its ranges from images: leave it out for "
            f"{options.precision}, or take --precision int8."
        )
    require_new_folder(out)
    run = session.source
    _require_as_trained(run, options)
    listed = session.other_manifest is not None or run.config.manifest_sha256 is not None
    manifest = session.manifest if listed else None
    policy = read_run_policy(run, manifest)
    if session.threads is not None and (policy is None or policy.unit != "ms"):
        raise UsageError(
            "--threads is for measuring times, which an export does for a policy about "
            f"milliseconds only, and {run.path} has none: leave it out."
        )
    # The bundle's logits name images, so they stay out of it.
    with replacing_folder(out) as building, tempfile.TemporaryDirectory() as scratch:
        work = _Work(session, building, Path(scratch), options, manifest)
        exported = work.export(policy)
    return replace(exported, bundle=Bundle(out, exported.bundle.config))


def _trained_for_int8(source: Source) -> bool:
    return isinstance(source, Run) and bool(source.config.quantisation)


def _require_as_trained(source: Source, options: ExportOptions) -> None:
    """Refuse another precision than int8 for a run that was trained for it."""
    if not _trained_for_int8(source):
        return
    if (options.backend, options.precision) != ("openvino", "int8"):
        raise UsageError(
            f"{source.path} was trained for int8 in OpenVINO: take --backend openvino --precision "
            "int8, or export the run that it started from."
        )
    if options.range_images is not None:
        raise UsageError(f"the ranges of {source.path} were trained: leave out --range-images.")


@dataclass(frozen=True)
class _Work:
    session: Session
    folder: Path
    scratch: Path
    options: ExportOptions
    manifest: Manifest | None

    def export(self, policy: RunPolicy | None) -> Exported:
        if self._has_calibrate:
            require_unseen(self.session.source, self.session.manifest.cohort("calibrate"))
        trained = _trained_for_int8(self.session.source)
        int8 = self._int8() if self.options.precision == "int8" and not trained else None
        stages = self.folder / STAGES
        state, left = write_stages(self.session, stages, self.options.backend, int8)
        # The document is written last; until then the bundle is in memory only.
        bundle = Bundle(self.folder, hashed(self.folder, self._config(state, left)))
        sessions = {precision: self._opened(bundle, precision) for precision in bundle.computes}
        exits, without = bundle.config.exits, ""
        if self._has_calibrate:
            exits = self._measured(exits, sessions[bundle.computes[0]])
        else:
            without = (
                "No images of the role calibrate, so the accuracy at this precision is unknown."
            )
        policies = {}
        if policy is not None:
            policies = {precision: policy.find_again(each) for precision, each in sessions.items()}
        elif len(exits) > 1:
            without = f"{without} The run has no policy, so every image will go to the last exit."
        files = {}
        for number, (precision, fitted) in enumerate(policies.items()):
            files[str(precision)] = POLICY if number == 0 else f"policy-{precision}.json"
            fitted.write(self.folder / files[str(precision)])
        config = bundle.config.replaced(exits=exits, policies=files)
        write_bundle_card(self.folder, config, policies, self.session.source.path)
        return Exported(write_bundle(self.folder, config), policies, without.strip())

    @property
    def _has_calibrate(self) -> bool:
        return self.manifest is not None and self.manifest.has("calibrate")

    def _int8(self) -> Int8:
        """Return how stages are quantised: on images of train, held against those of calibrate."""
        session, manifest = self.session, self.manifest
        if manifest is None:
            raise RunError(
                f"int8 needs images of the role train, but {session.source.path} has no list of "
                "images: name one with --manifest."
            )
        count = self.options.range_images or IMAGES
        images = calibration_images(manifest, session.preprocessing, session.cache, count)
        if self.options.accept_drop or not self._has_calibrate:
            return Int8(images)
        kept = session.preprocessing.normalise(
            np.asarray(session.images(manifest.cohort("calibrate")))
        )
        before = session.logits("calibrate")
        return Int8(images, Reference(kept, before.logits, before.labels, self.options.max_drop))

    def _opened(self, bundle: Bundle, precision: Precision) -> Session:
        """Return the bundle at work at one of its precisions."""
        return replace(
            self.session,
            source=bundle,
            precision=precision,
            other_manifest=self.manifest,
            results=self.scratch,
        )

    def _config(self, state: StateSpec, left: tuple[str, ...]) -> BundleConfig:
        source = self.session.source
        config, cost = source.config, source.complexity
        return BundleConfig(
            backend=self.options.backend,
            precision=self.options.precision,
            model=config.model,
            overrides=config.overrides,
            classes=config.classes,
            preprocessing=config.preprocessing,
            members=config.members,
            starting_weights=config.starting_weights,
            teacher=config.teacher,
            exits=tuple(
                ExitFacts(macs=macs, parameters=parameters)
                for macs, parameters in zip(cost.macs, cost.parameters, strict=True)
            ),
            state=state,
            float_layers=left,
            computes=computed_precisions(self.options.backend, self.options.precision),
            run_weights_sha256=source.weights_sha256,
            manifest_sha256=config.manifest_sha256,
            seed=config.seed,
            command=self.options.command,
            versions=library_versions(),
            machine=describe_machine(),
        )

    def _measured(self, exits: tuple[ExitFacts, ...], bundle: Session) -> tuple[ExitFacts, ...]:
        """Return the exits with their accuracy, before and after."""
        before, after = (each.logits("calibrate") for each in (self.session, bundle))
        pairs = [
            tuple((logits.argmax(axis=1) == before.labels).mean().item() for logits in pair)
            for pair in zip(before.logits, after.logits, strict=True)
        ]
        drops = [was - now for was, now in pairs]
        worst = int(np.argmax(drops))
        if drops[worst] > self.options.max_drop + 1e-9 and not self.options.accept_drop:
            int8 = self.options.precision == "int8"
            best = " at best" if int8 else ""
            train = ", train for int8 (`endoexit train --quantise int8`)" if int8 else ""
            raise ModelError(
                f"at {self.options.precision}{best}, exit {worst + 1} is right on "
                f"{pairs[worst][1]:.1%} of {counted(len(before.labels), 'calibrate image')} "
                f"instead of {pairs[worst][0]:.1%}, a drop of more than "
                f"{self.options.max_drop:g}: allow more with --max-drop, export all the same with "
                f"--accept-drop{train}, or take another --precision."
            )
        return tuple(
            facts.replaced(accuracy_before=was, accuracy=now)
            for facts, (was, now) in zip(exits, pairs, strict=True)
        )
