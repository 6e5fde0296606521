"""Stages that run as one, because the policy lets no image exit between them."""

from endoexit.policy import ExitPolicy
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.threshold import ThresholdRule


def separate_ends(num_exits: int) -> tuple[int, ...]:
    """Return the ends of stages that run one by one; see `fused_ends`."""
    return tuple(range(1, num_exits + 1))


def fused_ends(policy: ExitPolicy) -> tuple[int, ...]:
    """Return for each stage (M,) the last stage that may run with it as one.

    That is the next exit at which the policy may let an image exit. A policy that looks at exits
    where no image exits gets its stages one by one: one that refers images, that has a deadline,
    or whose rule looks at earlier exits.
    """
    exits = range(1, policy.num_exits + 1)
    looks = policy.referral is not None or policy.deadline_ms is not None
    if looks or not isinstance(policy.rule, ThresholdRule | FixedRule):
        return separate_ends(policy.num_exits)
    used = [number == policy.num_exits or policy.rule.condition(number) is not False
            for number in exits]  # fmt: skip
    return tuple(next(end for end in exits[number - 1 :] if used[end - 1]) for number in exits)
