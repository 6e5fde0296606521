"""The policy on a cohort: where images exit, its promises, the oracle and chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.evaluation.document import Adaptive, PromiseShown, Reference
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.intervals import Floats, GroupBootstrap
from endoexit.evaluation.latency import Measured
from endoexit.models.cost import Complexity
from endoexit.policy import ExitPolicy
from endoexit.policy.comparisons import oracle, random_assignment, random_right
from endoexit.policy.logits import LogitSet
from endoexit.policy.promises import PromiseCheck, check_promises
from endoexit.policy.table import Outcome
from endoexit.runtime.logits import RoleLogits


@dataclass(frozen=True)
class Decision:
    """The policy, applied to a cohort.

    Attributes:
        policy: Exit policy.
        origin: Origin of the policy, in words.
        exits: Exit (N,) of each image, 1 to M.
    """

    policy: ExitPolicy
    origin: str
    exits: NDArray[np.int64]

    def shares(self, images: NDArray[np.bool_] | slice = slice(None)) -> tuple[float, ...]:
        """Return the shares (M,) of some images, by default all, that exit at each exit."""
        numbers = np.arange(1, self.policy.num_exits + 1)
        return tuple((self.exits[images] == numbers[:, None]).mean(axis=1).tolist())

    def probabilities(self, logits: NDArray[np.float32]) -> Floats:
        """Return the class probabilities (N, C) of the exits taken; logits are (M, N, C)."""
        answers = np.empty(logits.shape[1:])
        for number in np.unique(self.exits).tolist():
            images = self.exits == number
            answers[images] = self.policy.probabilities(number, logits[number - 1, images])
        return answers


def describe(
    decision: Decision,
    logits: RoleLogits,
    cost: Complexity,
    measured: Measured | None,
    bootstrap: GroupBootstrap,
) -> Adaptive:
    """Return what `evaluation.json` holds of the policy.

    Args:
        decision: Policy, applied to the cohort.
        logits: Logits of the cohort.
        cost: Cost of each exit.
        measured: Times of each exit; None for none.
        bootstrap: Bootstrap over the groups of the cohort.
    """
    data, exits, macs = logits.as_set(), decision.exits, tuple(map(float, cost.macs))
    right: Floats = data.correct[exits - 1, np.arange(data.num_images)].astype(np.float64)
    times = None if measured is None else tuple(time.ms for time in measured.exits)

    def reference(outcome: Outcome, also_right: Floats) -> Reference:
        return Reference(
            accuracy=bootstrap.proportion(also_right),
            gap=bootstrap.mean(right - also_right),
            macs=outcome.cost,
            ms=None if times is None else float(np.dot(outcome.exit_shares, times)),
            shares=outcome.exit_shares,
        )

    of_class = {name: data.labels == index for index, name in enumerate(logits.classes)}
    return Adaptive(
        policy=decision.policy,
        origin=decision.origin,
        exits=tuple(exits.tolist()),
        shares=decision.shares(),
        shares_by_class={
            name: decision.shares(images) for name, images in of_class.items() if images.any()
        },
        promises=promises_shown(decision.policy, data, logits.classes, bootstrap),
        oracle=reference(oracle(data, macs), np.asarray(data.correct.any(axis=0), np.float64)),
        random=reference(random_assignment(data, exits, macs), random_right(data, exits)),
    )


def promises_shown(
    policy: ExitPolicy, data: LogitSet, classes: tuple[str, ...], bootstrap: GroupBootstrap
) -> tuple[PromiseShown, ...]:
    """Return the promises of a policy and what a cohort shows of them.

    Args:
        policy: Policy with its promises.
        data: Logits of the cohort.
        classes: Names of the classes, in the order of the logits.
        bootstrap: Bootstrap whose number of draws and seed are taken; it draws the groups that a
            promise counts.
    """
    return tuple(
        PromiseShown(
            promise=check.promise,
            units=check.images,
            observed=_observed(check, bootstrap),
            kept=check.kept,
        )
        for check in check_promises(policy, data, classes)
    )


def _observed(check: PromiseCheck, like: GroupBootstrap) -> Estimate:
    if check.observed is None:
        return Estimate(value=None, reason=check.unseen)
    bootstrap = GroupBootstrap(check.groups, like.resamples, like.seed)
    # Without a single loss every draw agrees; losses from 0 to 1 have the exact interval then.
    interval_of = bootstrap.proportion if check.risk.binary else bootstrap.mean
    return interval_of(check.losses)
