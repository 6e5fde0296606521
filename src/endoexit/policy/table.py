"""A cohort seen through one rule: exits of many policies without computing softmax again."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.confidence import CONFIDENCES, confidence
from endoexit.policy.logits import LogitSet
from endoexit.policy.policy import ExitPolicy, Rule


@dataclass(frozen=True)
class Outcome:
    """What a policy did on a cohort.

    Attributes:
        accuracy: share of right answers.
        cost: mean cost of an image.
        exit_shares: (M,) share of images that left at each exit.
    """

    accuracy: float
    cost: float
    exit_shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ExitTable:
    """Logits of a cohort with the rule and temperatures of a family of policies.

    Attributes:
        data: the cohort.
        rule: rule of every policy asked about.
        temperatures: (M,) theirs as well.
        costs: (M,) of leaving at each exit.
    """

    data: LogitSet
    rule: Rule
    temperatures: tuple[float, ...]
    costs: tuple[float, ...]

    @functools.cached_property
    def confidences(self) -> NDArray[np.float64]:
        """(M − 1, N) confidence of the early exits; for the confidence rules only."""
        if self.rule not in CONFIDENCES:
            raise ValueError(f"the rule {self.rule} has no confidence")
        early = zip(self.data.logits[:-1], self.temperatures[:-1], strict=True)
        rows = [confidence(logits, self.rule, temperature) for logits, temperature in early]
        return np.stack(rows) if rows else np.empty((0, self.data.num_images))

    def policy(self, thresholds: tuple[float | None, ...]) -> ExitPolicy:
        """Return the policy of this family with these thresholds."""
        return ExitPolicy(
            rule=self.rule,
            num_exits=self.data.num_exits,
            temperatures=self.temperatures,
            thresholds=thresholds,
        )

    def leaving(self, early_exit: int, thresholds: tuple[float | None, ...]) -> NDArray[np.bool_]:
        """Tell for each threshold which images it would let leave, (K, N).

        Args:
            early_exit: 0-based row of `confidences`.
            thresholds: K candidates for that exit.
        """
        masks = np.zeros((len(thresholds), self.data.num_images), dtype=np.bool_)
        for mask, threshold in zip(masks, thresholds, strict=True):
            if threshold is not None:
                np.greater_equal(self.confidences[early_exit], threshold, out=mask)
        return masks

    def exits(self, policy: ExitPolicy) -> NDArray[np.int64]:
        """Return `policy.assign(logits)`, faster where the rule is a confidence."""
        if self.rule not in CONFIDENCES or policy.rule != self.rule:
            return policy.assign(self.data.logits)
        exits = np.full(self.data.num_images, self.data.num_exits, dtype=np.int64)
        for row in reversed(range(self.data.num_exits - 1)):
            threshold = policy.thresholds[row]
            if threshold is not None:
                exits[self.confidences[row] >= threshold] = row + 1
        return exits

    def outcome(self, exits: NDArray[np.int64]) -> Outcome:
        """Return what assigning images to these exits (N,), 1-based, does; see `outcome`."""
        return outcome(self.data, exits, self.costs)


def outcome(data: LogitSet, exits: NDArray[np.int64], costs: tuple[float, ...]) -> Outcome:
    """Return accuracy, mean cost and shares when image n leaves at `exits[n]` (1-based)."""
    right = data.correct[exits - 1, np.arange(data.num_images)]
    counts = np.bincount(exits - 1, minlength=data.num_exits)
    shares = counts / data.num_images
    return Outcome(
        accuracy=float(right.mean()),
        cost=float(counts @ np.asarray(costs) / data.num_images),
        exit_shares=tuple(float(share) for share in shares),
    )
