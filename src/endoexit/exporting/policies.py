"""The policy of a run, found again as its bundle computes."""

from dataclasses import dataclass

from endoexit.artifacts.source import POLICY, Source
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
from endoexit.runtime.session import Session

TIMED_IMAGES = 30


@dataclass(frozen=True)
class RunPolicy:
    """What a run's policy was asked for.

    Attributes:
        source: Run that has it.
        request: Goal and rules.
        unit: Unit of the costs that it was found with.
    """

    source: Source
    request: Request
    unit: str

    def find_again(self, bundle: Session) -> ExitPolicy:
        """Return the policy for the same goal at one of the precisions of a bundle.

        Args:
            bundle: Bundle at this precision, with the images that the policy is found on.

        Raises:
            PolicyError: No policy meets the goal at this precision.
            DataError: Images that are needed are missing, or took part in training.
        """
        if bundle.manifest.has("certify"):
            require_unseen(self.source, bundle.manifest.cohort("certify"))
        costs = _times(bundle) if self.unit == "ms" else None
        options = CalibrationOptions(self.request.rules)
        return find_run_policy(bundle, self.request.goal, options, costs=costs).policy


def _times(bundle: Session) -> Costs:
    """Return the times of the exits, measured now."""
    chosen = bundle.manifest.cohort("calibrate").images[:TIMED_IMAGES]
    images = cache_images(chosen, bundle.preprocessing, bundle.cache).images
    measured = measure_run(bundle, images)
    timing = measured.timing
    return measured_costs(
        [time.ms for time in measured.exits],
        f"measured at export: {timing.precision}, {timing.threads} threads, "
        f"{timing.machine['processor']}",
    )


def read_run_policy(source: Source, manifest: Manifest | None) -> RunPolicy | None:
    """Return what is needed to find a run's policy again; None for a run without one.

    Args:
        source: Run with weights.
        manifest: Manifest of the images that are at hand.

    Raises:
        PolicyError: It does not say what was asked for, or was found for other weights or on
            other images: what it promises would then be about those.
        RunError: There are no images.
    """
    file = source.path / POLICY
    if not file.is_file():
        return None
    policy = ExitPolicy.read(file)
    if policy.request is None:
        raise PolicyError(
            f"{file} does not say what was asked for, so it cannot be found again at this "
            "precision: run `endoexit calibrate` again, or remove it."
        )
    served = policy.provenance
    if served is not None and served.weights_sha256 != source.weights_sha256:
        raise PolicyError(f"{file} was fitted for other weights: run `endoexit calibrate` again.")
    if manifest is None:
        raise RunError(
            f"{source.path} has a policy, which must be found again at this precision, but no list "
            "of images: name one with --manifest."
        )
    fitted = None if served is None else served.manifest_sha256
    if fitted not in (None, manifest.sha256):
        raise PolicyError(
            f"{file} was found on the images of another manifest (SHA-256 {fitted[:12]}) than "
            f"{manifest.path} ({manifest.sha256[:12]}): name that one with --manifest, or run "
            f"`endoexit calibrate {source.path} --manifest {manifest.path}` with the same goal "
            "first."
        )
    return RunPolicy(source, policy.request, _unit(policy, policy.request))


def _unit(policy: ExitPolicy, request: Request) -> str:
    if policy.costs is not None:
        return policy.costs.unit
    return "ms" if request.goal.about_time else "macs"
