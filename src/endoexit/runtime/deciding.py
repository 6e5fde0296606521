"""What decides where images exit: a threshold that the user gave, a policy, or neither."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endoexit.artifacts.source import Source
from endoexit.policy import ExitPolicy, fixed_exit, threshold_policy
from endoexit.policy.document import Provenance
from endoexit.precision import Precision

Origin = Literal["threshold", "policy", "none"]

NO_POLICY = "the last exit, as there is no policy"


@dataclass(frozen=True)
class Decider:
    """The policy that decides, and where it comes from.

    Attributes:
        policy: Policy. Where there is none, one that sends every image to the last exit.
        threshold: Threshold that the user gave.
        file: File of the policy.
    """

    policy: ExitPolicy
    threshold: float | None = None
    file: Path | None = None

    @property
    def origin(self) -> Origin:
        """Where the policy comes from."""
        if self.threshold is not None:
            return "threshold"
        return "none" if self.file is None else "policy"

    @property
    def rule(self) -> str:
        """What decides, in words, without the folder of the policy."""
        if self.threshold is not None:
            return f"largest probability of {self.threshold:g} or more, as asked for"
        if self.file is not None:
            return f"{self.file.name}: {self.policy.goal or self.policy.rule.kind}"
        return NO_POLICY

    @property
    def words(self) -> str:
        """What decides, in words, with the path of the policy."""
        return self.rule if self.file is None else str(self.file.parent / self.rule)


def decide(
    source: Source, precision: Precision, exits: int, threshold: float | None = None
) -> Decider:
    """Return what decides where images exit. All commands follow this one rule.

    A threshold that the user gives goes before the policy of the source. Without either, every
    image goes to the last exit.

    Args:
        source: Run or bundle with weights.
        precision: Precision that the source computes in.
        exits: Number of exits M.
        threshold: Images exit at the first exit whose largest probability reaches it.

    Raises:
        PolicyError: The policy cannot be read, or was fitted for other weights, preprocessing,
            classes or precision; the threshold is out of range.
    """
    if threshold is not None:
        return Decider(threshold_policy(exits, threshold), threshold=threshold)
    file = source.policy_file(precision)
    if file is None:
        return Decider(fixed_exit(exits, exits))
    policy = ExitPolicy.read(file)
    policy.require_served_as(served_provenance(source, precision))
    return Decider(policy, file=file)


def served_provenance(
    source: Source, precision: Precision, manifest_sha256: str | None = None
) -> Provenance:
    """Return what a run or a bundle is, to compare with what its policy was fitted for.

    Args:
        source: Run or bundle with weights.
        precision: Precision, see `computed_in`.
        manifest_sha256: SHA-256 of the manifest that a policy is fitted on.
    """
    return Provenance(
        weights_sha256=source.weights_sha256,
        preprocessing=source.config.preprocessing.fingerprint(),
        precision=str(precision),
        classes=source.classes,
        manifest_sha256=manifest_sha256,
    )
