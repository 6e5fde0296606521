"""One export, start to end: stages, precision, accuracy, policies, card; whole or not at all."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.bundles import (
    BUNDLE,
    STAGES,
    BackendName,
    Bundle,
    BundleConfig,
    BundlePrecision,
    ExitFacts,
    write_bundle,
)
from endoexit.data.cache import cache_images
from endoexit.data.manifest import Manifest
from endoexit.errors import EndoexitError, ModelError, PolicyError, RunError, UsageError, counted
from endoexit.evaluation.calibrate import (
    CalibrationOptions,
    find_run_policy,
    measured_costs,
    natural_unit,
    require_unseen,
)
from endoexit.evaluation.complexity import catalog_complexity
from endoexit.evaluation.latency import measure_run
from endoexit.evaluation.logits import FOLDER as LOGITS
from endoexit.evaluation.logits import collect_logits
from endoexit.evaluation.progress import Track, silent
from endoexit.export.card import write_bundle_card
from endoexit.export.requirements import computed_names, require_export
from endoexit.export.stages import write_stages
from endoexit.machine import describe_machine, library_versions
from endoexit.policy import ExitPolicy
from endoexit.policy.candidates import RuleOptions
from endoexit.policy.goals import Goal, make_goal
from endoexit.policy.records import Costs
from endoexit.runs import Run
from endoexit.runtime.opening import POLICY, Floats

LARGEST_DROP = 0.01
TIMED_IMAGES = 30


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        backend: what will run the stages.
        precision: that they compute in.
        accept_drop: export even if an exit loses more than one point of accuracy.
        threads: of a stage when times are measured; by default all usable cores.
        cache: folder of decoded images; by default the user's.
        command: the command line, for the record.
    """

    backend: BackendName = "openvino"
    precision: BundlePrecision = "f32"
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
    policies: dict[str, ExitPolicy]
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
            is not installed, or a folder with content.
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
    policy = _policy_of(run)
    if policy is not None and manifest is None:
        raise RunError(
            f"{run.path} has a policy, which must be found again at this precision, but no list "
            "of images: name one with --manifest."
        )
    if policy is not None and manifest is not None:
        _require_same_images(run, policy, manifest)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    try:
        work = _Work(run, building, options, manifest, track)
        exported = work.export(policy)
        shutil.rmtree(building / LOGITS, ignore_errors=True)  # names of images stay at home
        bundle = write_bundle(building, exported.bundle.config)
        building.chmod(0o755)
        building.replace(out)
    except OSError as error:
        raise EndoexitError(
            f"cannot write {out}: {error.strerror or error}. Nothing was left there."
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Exported(Bundle(out, bundle.config), exported.policies, exported.without)


def _policy_of(run: Run) -> ExitPolicy | None:
    """Return the run's policy, which must say what was asked for."""
    if not (run.path / POLICY).is_file():
        return None
    policy = ExitPolicy.read(run.path / POLICY)
    if policy.request is None:
        raise PolicyError(
            f"{run.path / POLICY} does not say what was asked for, so it cannot be found again at "
            "this precision: run `endoexit calibrate` again, or remove it."
        )
    if policy.provenance is not None and policy.provenance.weights_sha256 != run.weights_sha256:
        raise PolicyError(
            f"{run.path / POLICY} was fitted for other weights: run `endoexit calibrate` again."
        )
    return policy


def _require_same_images(run: Run, policy: ExitPolicy, manifest: Manifest) -> None:
    """Refuse to find a policy again on other images than it was found on.

    What it promises would then be about other images, without anybody having asked for that.
    """
    fitted = policy.provenance.manifest_sha256 if policy.provenance else None
    if fitted not in (None, manifest.sha256):
        raise PolicyError(
            f"{run.path / POLICY} was found on the images of another manifest (SHA-256 "
            f"{fitted[:12]}) than {manifest.path} ({manifest.sha256[:12]}): name that one with "
            f"--manifest, or run `endoexit calibrate {run.path} --manifest {manifest.path}` with "
            "the same goal first."
        )


@dataclass(frozen=True)
class _Work:
    run: Run
    folder: Path
    options: ExportOptions
    manifest: Manifest | None
    track: Track

    def export(self, policy: ExitPolicy | None) -> Exported:
        config = self._config()
        shapes = write_stages(
            self.run,
            self.folder / STAGES,
            self.options.backend,
            int8=self.options.precision == "int8",
            manifest=self.manifest,
            cache=self.options.cache,
            track=self.track,
        )
        bundle = write_bundle(
            self.folder, config.model_copy(update={"state_shapes": tuple(shapes)})
        )
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
            policies = {name: self._policy(bundle, name, policy) for name in config.computes}
        elif len(bundle.config.exits) > 1:
            without = f"{without} The run has no policy, so every image will go to the last exit."
        files = {}
        for number, (name, found) in enumerate(policies.items()):
            files[name] = POLICY if number == 0 else f"policy-{name}.json"
            found.write(self.folder / files[name])
        config = bundle.config.model_copy(update={"policies": files})
        write_bundle_card(self.folder, config, policies, self.run.path)
        (self.folder / BUNDLE).unlink()
        return Exported(Bundle(self.folder, config), policies, without.strip())

    def _config(self) -> BundleConfig:
        config = self.run.config
        cost = catalog_complexity(
            config.model, len(config.classes), config.preprocessing.size, **config.overrides
        )
        return BundleConfig(
            backend=self.options.backend,
            precision=self.options.precision,
            model=config.model,
            overrides=config.overrides,
            classes=config.classes,
            preprocessing=config.preprocessing,
            exits=tuple(
                ExitFacts(macs=macs, parameters=parameters)
                for macs, parameters in zip(cost.macs, cost.parameters, strict=True)
            ),
            computes=computed_names(self.options.backend, self.options.precision),
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
            bundle, "calibrate", manifest=manifest, cache=cache, track=self.track
        )
        pairs = [
            tuple((logits.argmax(axis=1) == before.labels).mean().item() for logits in pair)
            for pair in zip(before.logits, after.logits, strict=True)
        ]
        exits = tuple(
            facts.model_copy(update={"accuracy_before": was, "accuracy": now})
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
        return Bundle(bundle.path, bundle.config.model_copy(update={"exits": exits}))

    def _policy(self, bundle: Bundle, name: str, policy: ExitPolicy) -> ExitPolicy:
        """Find the run's policy again, for one of the precisions of the bundle."""
        assert policy.request is not None and self.manifest is not None  # noqa: S101, PT018
        floats: Floats = "bf16" if name.endswith("bf16") else "f32"
        request: dict[str, Any] = policy.request.model_dump()
        goal = make_goal(**request["goal"])
        rules = RuleOptions(**request["rules"])
        if self.manifest.has("certify"):
            require_unseen(self.run, self.manifest.cohort("certify"))
        options = CalibrationOptions(rules, precision=floats, cache=self.options.cache)
        return find_run_policy(
            bundle,
            goal,
            options,
            manifest=self.manifest,
            costs=self._costs(bundle, policy, goal, floats),
            track=self.track,
        ).policy

    def _costs(
        self, bundle: Bundle, policy: ExitPolicy, goal: Goal, floats: Floats
    ) -> Costs | None:
        """Return times measured now where the run's policy was about time; None otherwise."""
        unit = policy.costs.unit if policy.costs else natural_unit(goal)
        if unit != "ms":
            return None
        assert self.manifest is not None  # noqa: S101
        paths = self.manifest.cohort("calibrate").paths[:TIMED_IMAGES]
        images = cache_images(paths, bundle.config.preprocessing, self.options.cache).images
        found = measure_run(
            bundle, images, precision=floats, threads=self.options.threads, track=self.track
        )
        machine = found.timing.machine["processor"]
        return measured_costs(
            [time.ms for time in found.exits],
            f"measured at export: {found.timing.precision}, {found.timing.threads} threads, "
            f"{machine}",
        )
