"""Coverage against risk: how many images are answered, and how often the answers are wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.logits import LogitSet
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.referral import UNLIKE, UNSURE, sureness


@dataclass(frozen=True)
class Coverage:
    """What referral does on some images of a cohort.

    Attributes:
        images: Number of images.
        unsure: Number of images that were referred because the final exit was unsure.
        unlike: Number of images that were referred because they look unlike.
        wrong: Number of wrong answers to the others.
    """

    images: int
    unsure: int
    unlike: int
    wrong: int

    @property
    def answered(self) -> int:
        """Number of images that were answered."""
        return self.images - self.unsure - self.unlike

    @property
    def coverage(self) -> float:
        """Share of the images that were answered."""
        return self.answered / self.images

    @property
    def risk(self) -> float | None:
        """Share of the answers that are wrong; None where no image was answered."""
        return self.wrong / self.answered if self.answered else None


def coverage(
    data: LogitSet,
    exits: NDArray[np.int64],
    codes: NDArray[np.int8],
    images: NDArray[np.bool_] | slice = slice(None),
) -> Coverage:
    """Return what referral does on some images (by default all) of a cohort.

    Args:
        data: Logits of the cohort.
        exits: Exit (N,) of each image, 1-based.
        codes: Code (N,) of each image, see `ExitPolicy.referred`.
        images: Mask (N,) of the images.
    """
    right = data.correct[exits - 1, np.arange(data.num_images)]
    chosen = codes[images]
    return Coverage(
        images=len(chosen),
        unsure=int((chosen == UNSURE).sum()),
        unlike=int((chosen == UNLIKE).sum()),
        wrong=int(((chosen == 0) & ~right[images]).sum()),
    )


def sureness_of(
    policy: ExitPolicy, data: LogitSet, exits: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how sure the exit of each image (N,) is; see `sureness`."""
    sure, labels = np.empty(data.num_images), data.predictions
    for number in np.unique(exits).tolist():
        at = exits == number
        previous = labels[: number - 1, at].T
        temperature = policy.temperatures[number - 1]
        sure[at] = sureness(data.logits[number - 1, at], previous, temperature)
    return sure


def risk_curve(sure: NDArray[np.float64], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the risk (N,) when only the 1, 2, ..., N surest images are answered.

    Images that are equally sure count with the mean of their losses, in whatever order they are.

    Args:
        sure: How sure each image (N,) is.
        wrong: Whether its answer is wrong.
    """
    _, places, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=wrong) / counts
    losses = np.repeat(means, counts)
    return np.asarray(np.cumsum(losses) / np.arange(1, len(losses) + 1))


def area_under(curve: NDArray[np.float64]) -> float:
    """Return the area under a risk-coverage curve (AURC): the mean risk over all coverages.

    Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural
    classifiers".
    """
    return float(curve.mean())
