"""The promises of a policy: in words, and what another cohort, such as test, shows of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.document import Promise
from endoexit.policy.goals import probability_words
from endoexit.policy.logits import LogitSet
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.referral import ANSWERED
from endoexit.policy.risks import Risk, counted_images, loss_table
from endoexit.policy.units import UnitLosses, group_numbers


@dataclass(frozen=True, eq=False)
class PromiseCheck:
    """A promise and what another cohort shows of it, in the unit that it was made in.

    Attributes:
        promise: What was promised.
        losses: Loss (n,) of each image, or mean loss of each group, that the risk is a mean over;
            empty where the cohort has none.
        groups: Group (n,) of each of them, as whole numbers.
        unseen: Why there are none; None where there are some.
    """

    promise: Promise
    losses: NDArray[np.float64]
    groups: NDArray[np.int64]
    unseen: str | None = None

    @property
    def risk(self) -> Risk:
        """Risk that the promise is about."""
        return self.promise.risk

    @property
    def images(self) -> int:
        """Number of images (or groups) that the risk is a mean over."""
        return len(self.losses)

    @property
    def observed(self) -> float | None:
        """Mean loss; None where the cohort has no such image."""
        return float(self.losses.mean()) if len(self.losses) else None

    @property
    def kept(self) -> bool | None:
        """Whether the observed risk is within the tolerance; None where nothing was observed.

        A cohort is a sample: an observed risk a little above the tolerance does not prove that
        the promise is broken.
        """
        observed = self.observed
        return None if observed is None else observed <= self.risk.tolerance


def promise_words(promise: Promise) -> str:
    """Return a promise in words: how much of which risk, how sure, and what that rests on."""
    proof: str = promise.method
    answered, among = ("", "") if promise.referred is None else ("answered ", " that are answered")
    if promise.method != "by construction":  # nothing was tested then
        drawn = promise.unit == "group" and promise.group_value == "one image"
        share = promise.risk.as_named(promise.observed)
        proof = (
            f"{share:.2%} of {promise.images} {answered}certify {promise.unit}s, "
            f"{'one image of each, ' if drawn else ''}"
            f"p = {promise.p_value:.2g}, {promise.method}"
        )
        if promise.referred is not None:
            proof += f"; {promise.referred:.1%} were referred"
    return (
        f"{promise.risk.words} on new {promise.unit}s{among}, with probability "
        f"{probability_words(promise.delta)} ({proof})"
    )


def counted_words(promise: Promise) -> str:
    """Return what counts as one draw for a promise, in words."""
    if promise.unit == "image":
        return "each image"
    if promise.group_value == "one image" and promise.method != "by construction":
        return "each group, with its mean loss, tested by one image that was drawn from it"
    return "each group, with its mean loss"


def counted_lines(promises: Sequence[Promise]) -> list[str]:
    """Return what counts as one draw, for each promise where they differ, as ends of sentences."""
    words = {promise.risk.label: counted_words(promise) for promise in promises}
    if len(set(words.values())) == 1:
        return [f": {next(iter(words.values()))}"]
    return [f" for {label}: {counts}" for label, counts in words.items()]


def check_promises(
    policy: ExitPolicy, data: LogitSet, classes: tuple[str, ...]
) -> tuple[PromiseCheck, ...]:
    """Return what a cohort, such as test, shows of each promise of a policy.

    Args:
        policy: Policy with its promises.
        data: Logits of the cohort.
        classes: Names in the order of the logits.

    Raises:
        PolicyError: A promise counts groups, and the cohort has none.
        UsageError: A class of a promise does not exist.
    """
    exits = policy.assign(data.logits, data.features)
    answered = policy.referred(data.logits, exits, data.features) == ANSWERED
    return tuple(_check(promise, data, classes, exits, answered) for promise in policy.promises)


def _check(
    promise: Promise,
    data: LogitSet,
    classes: tuple[str, ...],
    exits: NDArray[np.int64],
    answered: NDArray[np.bool_],
) -> PromiseCheck:
    """Return what a cohort shows of a promise; where images are referred, among the answered.

    Groups are then tested by one image of each: the mean of a group depends on who is answered.
    """
    referring = promise.referred is not None
    among = answered if referring else np.ones(data.num_images, dtype=np.bool_)
    counted = counted_images(promise.risk, data, classes)
    if not (counted & among).any():
        which = "another class than" if promise.risk.name == "specificity" else "class"
        unseen = f"no image of {which} {promise.risk.of_class!r}"
        if counted.any():
            unseen = "all such images are referred"
        return PromiseCheck(promise, np.empty(0), np.empty(0, dtype=np.int64), unseen)
    table = loss_table(promise.risk, data, classes)
    if promise.unit == "group":
        units = UnitLosses(table, group_numbers(data), "one image" if referring else "mean")
        losses = units.of(exits, answered if referring else None)
        return PromiseCheck(promise, losses, np.arange(len(losses)))
    members = np.arange(data.num_images) if data.groups is None else group_numbers(data)
    kept = among[table.counted]
    return PromiseCheck(promise, table.of(exits)[kept], members[table.counted][kept])
