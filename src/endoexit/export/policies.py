"""The policy of a run, found again as its bundle computes."""

from dataclasses import dataclass
from pathlib import Path

from endoexit.artifacts.bundle import Bundle
from endoexit.artifacts.run import Run
from endoexit.data.manifest import Manifest
from endoexit.errors import PolicyError, RunError
from endoexit.evaluation.fitting import (
    CalibrationOptions,
    find_run_policy,
    measured_costs,
    require_unseen,
)
from endoexit.evaluation.latency import measure_run
from endoexit.images.cache import cache_images
from endoexit.policy import ExitPolicy
from endoexit.policy.document import Costs, Request
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.session import POLICY

TIMED_IMAGES = 30


@dataclass(frozen=True)
class RunPolicy:
    """What a run's policy was asked for, and the images that it is found on.

    Attributes:
        run: Run that it belongs to.
        request: Goal and rules.
        unit: Unit of the costs that it was found with.
        manifest: Manifest of the images.
    """

    run: Run
    request: Request
    unit: str
    manifest: Manifest

    def find_again(
        self,
        bundle: Bundle,
        precision: Precision,
        *,
        threads: int | None,
        cache: Path | None,
        scratch: Path,
        track: Track,
    ) -> ExitPolicy:
        """Return the policy for the same goal at one of the precisions of a bundle.

        Args:
            bundle: Bundle that it will serve.
            precision: One of the bundle's.
            threads: Threads of a stage, where times are measured.
            cache: Folder of decoded images; by default the user's.
            scratch: Folder for logits.
            track: What shows progress.

        Raises:
            PolicyError: No policy meets the goal at this precision.
            DataError: Images that are needed are missing, or took part in training.
        """
        if self.manifest.has("certify"):
            require_unseen(self.run, self.manifest.cohort("certify"))
        costs = None
        if self.unit == "ms":
            costs = self._times(bundle, precision, threads=threads, cache=cache, track=track)
        return find_run_policy(
            bundle,
            self.request.goal,
            CalibrationOptions(
                self.request.rules, precision=precision.floats, cache=cache, out=scratch
            ),
            manifest=self.manifest,
            costs=costs,
            track=track,
        ).policy

    def _times(
        self,
        bundle: Bundle,
        precision: Precision,
        *,
        threads: int | None,
        cache: Path | None,
        track: Track,
    ) -> Costs:
        """Return the times of the exits, measured now."""
        chosen = self.manifest.cohort("calibrate").images[:TIMED_IMAGES]
        images = cache_images(chosen, bundle.config.preprocessing, cache).images
        found = measure_run(
            bundle, images, precision=precision.floats, threads=threads, track=track
        )
        machine = found.timing.machine["processor"]
        return measured_costs(
            [time.ms for time in found.exits],
            f"measured at export: {found.timing.precision}, {found.timing.threads} threads, "
            f"{machine}",
        )


def read_run_policy(run: Run, manifest: Manifest | None) -> RunPolicy | None:
    """Return what is needed to find a run's policy again; None for a run without one.

    Args:
        run: Run with weights.
        manifest: Manifest of the images that are at hand.

    Raises:
        PolicyError: It does not say what was asked for, or was found for other weights or on
            other images: what it promises would then be about those.
        RunError: There are no images.
    """
    file = run.path / POLICY
    if not file.is_file():
        return None
    policy = ExitPolicy.read(file)
    if policy.request is None:
        raise PolicyError(
            f"{file} does not say what was asked for, so it cannot be found again at this "
            "precision: run `endoexit calibrate` again, or remove it."
        )
    served = policy.provenance
    if served is not None and served.weights_sha256 != run.weights_sha256:
        raise PolicyError(f"{file} was fitted for other weights: run `endoexit calibrate` again.")
    if manifest is None:
        raise RunError(
            f"{run.path} has a policy, which must be found again at this precision, but no list "
            "of images: name one with --manifest."
        )
    fitted = None if served is None else served.manifest_sha256
    if fitted not in (None, manifest.sha256):
        raise PolicyError(
            f"{file} was found on the images of another manifest (SHA-256 {fitted[:12]}) than "
            f"{manifest.path} ({manifest.sha256[:12]}): name that one with --manifest, or run "
            f"`endoexit calibrate {run.path} --manifest {manifest.path}` with the same goal first."
        )
    return RunPolicy(run, policy.request, _unit(policy, policy.request), manifest)


def _unit(policy: ExitPolicy, request: Request) -> str:
    if policy.costs is not None:
        return policy.costs.unit
    return "ms" if request.goal.about_time else "macs"
