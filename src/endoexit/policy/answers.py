"""What a policy answered on the calibrate role: exits, labels and confidences, as counts.

A service compares its own answers with these counts.
"""

import bisect
import itertools
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from endoexit.documents import Record
from endoexit.errors import PolicyError
from endoexit.policy.logits import LogitSet

if TYPE_CHECKING:
    from endoexit.policy.policy import ExitPolicy

_BINS = 10  # of the confidence, at most, with about as many calibrate images in each
# Edges that are themselves drawn make a test of such bins reject too often if they hold few images.
_LEAST_IN_BIN = 100
_DIGITS = 4  # of a confidence: the noise of a backend's arithmetic is far below
_Count = Annotated[int, Field(ge=0)]
_Edge = Annotated[float, Field(ge=0.0, le=1.0)]


class Answers(Record):
    """Counts of the answers on a cohort.

    Attributes:
        exits: Number (M,) of images that exit at each exit.
        labels: Number (C,) of images with each most probable class, referred ones among them.
        confidence_edges: Edges (B − 1,), rising, between the bins of the confidence: the largest
            probability at the exit that answers. An edge belongs to the bin above it.
        confidences: Number (B,) of images in each bin.

    Raises:
        PolicyError: The counts do not fit each other.
    """

    exits: Annotated[tuple[_Count, ...], Field(min_length=1)]
    labels: tuple[_Count, ...]
    confidence_edges: tuple[_Edge, ...]
    confidences: tuple[_Count, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        edges = self.confidence_edges
        if (
            not 0 < self.images == sum(self.labels) == sum(self.confidences)
            or len(self.confidences) != len(edges) + 1
            or any(low >= high for low, high in itertools.pairwise(edges))
        ):
            raise PolicyError(
                "the answers on calibrate do not fit each other: run `endoexit calibrate` again."
            )
        return self

    @property
    def images(self) -> int:
        """Number of images of the cohort."""
        return sum(self.exits)


def count_answers(
    exits: NDArray[np.int64],
    labels: NDArray[np.int64],
    confidences: NDArray[np.float64],
    *,
    num_exits: int,
    num_classes: int,
) -> Answers:
    """Return the counts of answers; the bins of the confidence hold about 100 images or more.

    Args:
        exits: Exit (N,), 1 to M, of each image.
        labels: Label (N,), a class index, of each.
        confidences: Largest probability (N,) at that exit.
        num_exits: Number of exits, M.
        num_classes: Number of classes, C.
    """
    rounded = np.round(confidences, _DIGITS)
    bins = max(1, min(_BINS, len(rounded) // _LEAST_IN_BIN))
    quantiles = np.quantile(rounded, np.arange(1, bins) / bins, method="higher")
    # Below the smallest value there is no image.
    edges = tuple(np.unique(quantiles[quantiles > rounded.min()]).tolist())
    places = [confidence_bin(value, edges) for value in confidences.tolist()]
    return Answers(
        exits=tuple(np.bincount(exits - 1, minlength=num_exits).tolist()),
        labels=tuple(np.bincount(labels, minlength=num_classes).tolist()),
        confidence_edges=edges,
        confidences=tuple(np.bincount(places, minlength=len(edges) + 1).tolist()),
    )


def confidence_bin(confidence: float, edges: tuple[float, ...]) -> int:
    """Return the bin, from 0, of a confidence."""
    return bisect.bisect_right(edges, round(confidence, _DIGITS))


def answers_of(
    policy: "ExitPolicy", data: LogitSet, exits: NDArray[np.int64] | None = None
) -> Answers:
    """Return what a policy answers on a cohort, if no deadline decides.

    Args:
        policy: Policy for as many exits as the logits have.
        data: Logits of the cohort.
        exits: Exit (N,) of each image, where the policy was fitted to these and new ones are
            expected to exit elsewhere; None for what `ExitPolicy.assign` gives.
    """
    if exits is None:
        exits = policy.assign(data.logits, data.features)
    confidences = np.empty(data.num_images)
    for number in range(1, data.num_exits + 1):
        here = exits == number
        if here.any():
            seen = policy.probabilities(number, data.logits[number - 1, here])
            confidences[here] = seen.max(axis=1)
    labels = data.predictions[exits - 1, np.arange(data.num_images)]
    return count_answers(
        exits, labels, confidences, num_exits=data.num_exits, num_classes=data.num_classes
    )
