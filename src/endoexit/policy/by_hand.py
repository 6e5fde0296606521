"""Policies that are typed by hand: temperatures 1, no provenance, no promise."""

from endoexit.policy.confidence import ConfidenceName
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.patience import PatienceRule
from endoexit.policy.rules.threshold import ThresholdRule


def threshold_policy(
    num_exits: int, threshold: float, rule: ConfidenceName = "max_probability"
) -> ExitPolicy:
    """Return the policy of one shared threshold typed by hand, temperatures 1.

    Args:
        num_exits: Number of exits of the network, M.
        threshold: Confidence from which an image exits, in [0, 1].
        rule: Confidence that is compared with it.

    Raises:
        PolicyError: The numbers make no policy.
    """
    return ExitPolicy(
        rule=ThresholdRule(kind=rule, thresholds=(threshold,) * (num_exits - 1)),
        num_exits=num_exits,
        temperatures=(1.0,) * num_exits,
    )


def fixed_exit(num_exits: int, k: int) -> ExitPolicy:
    """Return the policy that sends every image to exit `k` (1 to M), temperatures 1."""
    return ExitPolicy(rule=FixedRule(exit=k), num_exits=num_exits, temperatures=(1.0,) * num_exits)


def patience_policy(num_exits: int, patience: int) -> ExitPolicy:
    """Return the policy that waits until `patience` consecutive exits agree, temperatures 1."""
    return ExitPolicy(
        rule=PatienceRule(patience=patience), num_exits=num_exits, temperatures=(1.0,) * num_exits
    )


def deadline_policy(num_exits: int, deadline_ms: float) -> ExitPolicy:
    """Return the "anytime" policy: continue until the time is up, answer with the last exit."""
    return fixed_exit(num_exits, num_exits).replaced(deadline_ms=deadline_ms)
