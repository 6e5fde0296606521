"""One export, start to end: stages, precision, accuracy, policies, card; whole or not at all."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from endoexit.artifacts.bundle import (
    BUNDLE,
    STAGES,
    Bundle,
    BundleConfig,
    ExitFacts,
    write_bundle,
)
from endoexit.artifacts.run import Run
from endoexit.data.manifest import Manifest
from endoexit.errors import ModelError, UsageError, counted
from endoexit.evaluation.fitting import require_unseen
from endoexit.evaluation.logits import collect_logits
from endoexit.export.card import write_bundle_card
from endoexit.export.policies import RunPolicy, read_run_policy
from endoexit.export.requirements import computed_precisions, require_export
from endoexit.export.stages import write_stages
from endoexit.files import replacing_folder
from endoexit.machine import describe_machine, library_versions
from endoexit.models.state import StateSpec
from endoexit.policy import ExitPolicy
from endoexit.precision import BackendName, NumberFormat, Precision
from endoexit.progress import Track, silent
from endoexit.runtime.session import POLICY

LARGEST_DROP = 0.01


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        backend: what will run the stages.
        precision: that they compute in.
        accept_drop: export even if an exit loses more than one point of accuracy.
        threads: of a stage when times are measured, for a policy about time; by default all
            usable cores.
        cache: folder of decoded images; by default the user's.
        command: the command line, for the record.
    """

    backend: BackendName = "openvino"
    precision: NumberFormat = "f32"
    accept_drop: bool = False
    threads: int | None = None
    cache: Path | None = None
    command: str = ""


@dataclass(frozen=True)
class Exported:
    """A bundle that was made.

    Attributes:
        bundle: in its folder.
        policies: the policy for each precision that the bundle computes in.
        without: why there is no policy, or no accuracy; empty when nothing is missing.
    """

    bundle: Bundle
    policies: dict[Precision, ExitPolicy]
    without: str = ""


def export_run(
    run: Run,
    out: Path,
    options: ExportOptions,
    *,
    manifest: Manifest | None = None,
    track: Track = silent,
) -> Exported:
    """Export a run as a bundle.

    The logits of another backend or precision differ, so the accuracy of every exit is measured
    again on calibrate, and the run's policy is found again for the same goal: a guarantee is
    proven again on certify.

    Args:
        run: with weights.
        out: folder of the bundle; it must not exist, or be empty.
        options: see `ExportOptions`.
        manifest: in place of the run's own.
        track: shows progress.

    Raises:
        UsageError: a precision that the backend or this processor does not have, something that
            is not installed, a folder with content, or threads where no times are measured.
        EndoexitError: the folder cannot be written.
        ModelError: an exit loses more than one point of accuracy.
        RunError, DataError: the run has no weights, or images that are needed are missing.
        PolicyError: no policy meets the goal at this precision, or the run's was found on the
            images of another manifest.
    """
    require_export(options.backend, options.precision)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already: name a new folder, or remove it first.")
    if manifest is None and run.config.manifest_sha256 is not None:
        manifest = run.manifest()
    policy = read_run_policy(run, manifest)
    if options.threads is not None and (policy is None or policy.unit != "ms"):
        raise UsageError(
            "--threads is for measuring times, which an export does for a policy about "
            f"milliseconds only, and {run.path} has none: leave it out."
        )
    # The bundle's logits name images, so they stay out of it.
    with replacing_folder(out) as building, tempfile.TemporaryDirectory() as scratch:
        work = _Work(run, building, Path(scratch), options, manifest, track)
        exported = work.export(policy)
        bundle = write_bundle(building, exported.bundle.config)
    return Exported(Bundle(out, bundle.config), exported.policies, exported.without)


@dataclass(frozen=True)
class _Work:
    run: Run
    folder: Path
    scratch: Path
    options: ExportOptions
    manifest: Manifest | None
    track: Track

    def export(self, policy: RunPolicy | None) -> Exported:
        state = write_stages(
            self.run,
            self.folder / STAGES,
            self.options.backend,
            int8=self.options.precision == "int8",
            manifest=self.manifest,
            cache=self.options.cache,
            track=self.track,
        )
        config = self._config(state)
        bundle = write_bundle(self.folder, config)
        without = ""
        if self.manifest is not None and self.manifest.has("calibrate"):
            require_unseen(self.run, self.manifest.cohort("calibrate"))
            bundle = self._measured(bundle)
        else:
            without = (
                "No images of the role calibrate, so the accuracy at this precision is unknown."
            )
        policies = {}
        if policy is not None:
            policies = {
                precision: policy.find_again(
                    bundle,
                    precision,
                    threads=self.options.threads,
                    cache=self.options.cache,
                    scratch=self.scratch,
                    track=self.track,
                )
                for precision in config.computes
            }
        elif len(bundle.config.exits) > 1:
            without = f"{without} The run has no policy, so every image will go to the last exit."
        files = {}
        for number, (precision, found) in enumerate(policies.items()):
            files[str(precision)] = POLICY if number == 0 else f"policy-{precision}.json"
            found.write(self.folder / files[str(precision)])
        config = bundle.config.replaced(policies=files)
        write_bundle_card(self.folder, config, policies, self.run.path)
        (self.folder / BUNDLE).unlink()
        return Exported(Bundle(self.folder, config), policies, without.strip())

    def _config(self, state: StateSpec) -> BundleConfig:
        config = self.run.config
        cost = config.network.complexity
        return BundleConfig(
            backend=self.options.backend,
            precision=self.options.precision,
            model=config.model,
            overrides=config.overrides,
            classes=config.classes,
            preprocessing=config.preprocessing,
            starting_weights=config.starting_weights,
            exits=tuple(
                ExitFacts(macs=macs, parameters=parameters)
                for macs, parameters in zip(cost.macs, cost.parameters, strict=True)
            ),
            state=state,
            computes=computed_precisions(self.options.backend, self.options.precision),
            run_weights_sha256=self.run.weights_sha256,
            manifest_sha256=config.manifest_sha256,
            seed=config.seed,
            command=self.options.command,
            versions=library_versions(),
            machine=describe_machine(),
        )

    def _measured(self, bundle: Bundle) -> Bundle:
        """Return the bundle with the accuracy of every exit, before and after."""
        manifest, cache = self.manifest, self.options.cache
        before = collect_logits(
            self.run, "calibrate", manifest=manifest, cache=cache, track=self.track
        )
        after = collect_logits(
            bundle,
            "calibrate",
            manifest=manifest,
            cache=cache,
            out=self.scratch,
            track=self.track,
        )
        pairs = [
            tuple((logits.argmax(axis=1) == before.labels).mean().item() for logits in pair)
            for pair in zip(before.logits, after.logits, strict=True)
        ]
        exits = tuple(
            facts.replaced(accuracy_before=was, accuracy=now)
            for facts, (was, now) in zip(bundle.config.exits, pairs, strict=True)
        )
        drops = [was - now for was, now in pairs]
        worst = int(np.argmax(drops))
        if drops[worst] > LARGEST_DROP + 1e-9 and not self.options.accept_drop:
            raise ModelError(
                f"at {self.options.precision}, exit {worst + 1} is right on {pairs[worst][1]:.1%} "
                f"of {counted(len(before.labels), 'calibrate image')} instead of "
                f"{pairs[worst][0]:.1%}: export all the same with --accept-drop, or take another "
                "--precision."
            )
        return Bundle(bundle.path, bundle.config.replaced(exits=exits))
