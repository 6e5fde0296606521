"""What a policy does with one image alone, with less around it than for a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.confidence import softmax_of_one
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.rules.gate import GateRule


def decides_alone(policy: ExitPolicy) -> bool:
    """Return whether `leaves_alone` serves a policy: it has neither gates nor referrals."""
    return policy.referral is None and not isinstance(policy.rule, GateRule)


def leaves_alone(
    policy: ExitPolicy,
    exit_number: int,
    logits: NDArray[Any],
    row: Sequence[float],
    labels: Sequence[int],
) -> bool:
    """Tell whether one image exits at exit k, as `ExitPolicy.leaves` does.

    Args:
        policy: One that `decides_alone`.
        exit_number: Number of the exit k, 1 to M.
        logits: Logits (1, C) of exit k.
        row: The same logits (C,).
        labels: Labels (k − 1,) that the earlier exits gave the image.

    Raises:
        PolicyError: Logits not finite.
    """
    if exit_number == policy.num_exits:
        return True
    certain = policy.rule.decide_one(exit_number, row, policy.temperatures[exit_number - 1])
    if certain is not None:
        return certain
    return bool(policy.leaves(exit_number, logits, np.array([labels], np.int64))[0])


def probabilities_alone(
    policy: ExitPolicy, exit_number: int, logits: NDArray[Any], row: Sequence[float]
) -> NDArray[np.float64]:
    """Return the class probabilities (C,) of one image, as `ExitPolicy.probabilities` does.

    Args:
        policy: Any.
        exit_number: Number of the exit, 1 to M.
        logits: Logits (1, C) of the exit.
        row: The same logits (C,).

    Raises:
        PolicyError: Logits not finite.
    """
    few = softmax_of_one(row, policy.temperatures[exit_number - 1])
    return policy.probabilities(exit_number, logits)[0] if few is None else few
