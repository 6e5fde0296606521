"""What counts as one independent draw of a cohort, and by which value it is tested."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from endoexit.errors import PolicyError
from endoexit.policy.goals import GroupValue, Method, Unit, UnitChoice
from endoexit.policy.logits import LogitSet
from endoexit.policy.risks import LossTable

# Fixed, so that a promise that fails cannot be tried again with another draw.
DRAW_SEED = 0


@dataclass(frozen=True)
class Counting:
    """What counts as one independent draw of a cohort.

    Attributes:
        unit: An image, or a group.
        groups: Group (N,) of each image as a whole number; None where images count.
        reason: Reason for this unit, in words.
    """

    unit: Unit
    groups: NDArray[np.int64] | None
    reason: str


def counting(choice: UnitChoice, data: LogitSet) -> Counting:
    """Decide what counts as one draw: "auto" takes groups where one holds several images.

    Images of one group are alike, so counting them one by one overrates what they prove.

    Raises:
        PolicyError: Groups are asked for, and the cohort has none.
    """
    if choice == "group" or (choice == "auto" and data.groups is not None):
        numbers = group_numbers(data)
        groups = len(np.unique(numbers))
        if choice == "group":
            return Counting("group", numbers, "asked for")
        if groups < data.num_images:
            reason = f"the {data.num_images} {data.name} images come from {groups} groups"
            return Counting("group", numbers, reason)
        return Counting("image", None, f"no two {data.name} images are of one group")
    reason = "asked for" if choice == "image" else f"the {data.name} images have no groups"
    return Counting("image", None, reason)


def dependence(counted: Counting, data: LogitSet) -> str | None:
    """Return what a reader must know where images of one group were counted one by one."""
    if counted.groups is not None or data.groups is None:
        return None
    groups = len(np.unique(group_numbers(data)))
    if groups == data.num_images:
        return None
    return (
        f"The {data.num_images} {data.name} images come from {groups} groups and were counted as "
        "independent; if images of one group are alike, count groups instead."
    )


def group_numbers(data: LogitSet) -> NDArray[np.int64]:
    """Return the group of each image (N,) as a whole number.

    Raises:
        PolicyError: The cohort has no groups.
    """
    if data.groups is None:
        raise PolicyError(
            f"a guarantee per group needs the groups of the {data.name} images: "
            "give them, or count images."
        )
    return np.asarray(np.unique(data.groups, return_inverse=True)[1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class UnitLosses:
    """One risk on one cohort, unit by unit.

    The risk of groups is the mean over groups of the mean loss of each. One image that is drawn
    from a group has that mean loss on average. So one image of each group is a sample of
    independent losses with the same risk, and they are 0 or 1 (or −1) where means are not.

    Attributes:
        table: Losses of the risk.
        groups: Group (N,) of each image as a whole number; None where images count.
        value: Loss by which a group is tested.
    """

    table: LossTable
    groups: NDArray[np.int64] | None = None
    value: GroupValue = "mean"

    @property
    def unit(self) -> Unit:
        """What counts as one draw."""
        return "image" if self.groups is None else "group"

    @property
    def method(self) -> Method:
        """Test of the losses: exact where each is 0 or 1 (or −1)."""
        if self.groups is not None and self.value == "mean":
            return "betting"
        return "exact binomial" if self.table.risk.binary else "exact trinomial"

    @property
    def count(self) -> int:
        """Number of units."""
        return self.table.num_images if self.groups is None else len(self._sizes)

    @functools.cached_property
    def _places(self) -> NDArray[np.int64]:
        """Group (n,) of each counted image, numbered without gaps."""
        if self.groups is None:
            raise ValueError("these losses have no groups")
        return np.asarray(np.unique(self.groups[self.table.counted], return_inverse=True)[1])

    @functools.cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """Number of counted images of each group."""
        return np.asarray(np.bincount(self._places))

    @functools.cached_property
    def _drawn(self) -> NDArray[np.int64]:
        """Places of one counted image of each group; the same for every policy."""
        starts = np.cumsum(self._sizes) - self._sizes
        steps = np.random.default_rng(DRAW_SEED).random(len(starts)) * self._sizes
        return np.asarray(np.argsort(self._places, kind="stable")[starts + steps.astype(np.int64)])

    def of(
        self, exits: NDArray[np.int64], answered: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Return the losses (n,) of the units when the images exit at `exits` (N,).

        Args:
            exits: Exit (N,) of each image, 1-based.
            answered: Mask (N,) of the images that are answered: of single images, or of one image
                of each group, only these are returned. None for all.

        Raises:
            ValueError: Means of groups among the answered: their number depends on the policy.
        """
        losses = self.table.of(exits)
        places = np.arange(len(losses))
        if self.groups is not None:
            if self.value == "mean":
                if answered is not None:
                    raise ValueError("means of groups have no test among the answered images")
                return self._means(losses)
            places = self._drawn
        if answered is not None:
            places = places[answered[self.table.counted][places]]
        return losses[places]

    def _means(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self._places, weights=losses) / self._sizes)

    def share_between(self, assignments: Sequence[NDArray[np.int64]]) -> float:
        """Return the variance of the groups' means, as a share of that of single images.

        It is 1 where each group has one image, or images of equal losses, and 1 / m where it has
        m images as different as those of different groups.

        Args:
            assignments: Exits (N,) of each image, one array for each policy; all count together.
        """
        between = total = 0.0
        for exits in assignments:
            losses = self.table.of(exits)
            means = self._means(losses)
            between += float(means.var())
            total += float(self._means(losses**2).mean() - means.mean() ** 2)
        return between / total if total > 0.0 else 1.0


def better_value(share_between: float, delta: float) -> GroupValue:
    """Return the loss by which groups are better tested.

    An exact test of one image from each group needs a mean loss z(1 − δ) standard errors below ε.
    Betting on group means needs √(2 ln(1 / δ)), because of Markov's inequality, but of the
    smaller standard errors of the means. So means are better only where groups hold several
    images whose losses differ.

    Args:
        share_between: Variance of group means as a share of that of single images, on calibrate;
            see `UnitLosses.share_between`.
        delta: Chance that the guarantee fails, δ.
    """
    exact = max(float(norm.isf(delta)), 0.0)
    betting = math.sqrt(-2.0 * math.log(delta))
    return "mean" if betting * math.sqrt(share_between) < exact else "one image"
