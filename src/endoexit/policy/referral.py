"""Referral: which images get no answer because a human must look at them, and why."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from endoexit.documents import Record
from endoexit.errors import PolicyError
from endoexit.policy.confidence import confidence, require_finite
from endoexit.policy.distance import Distance, Features
from endoexit.policy.features import agreement

Reason = Literal["unsure", "unlike"]
REASONS: tuple[Reason, ...] = get_args(Reason)
# Codes in arrays: 0 for an answer, else 1 + the place of the reason in REASONS.
ANSWERED, UNSURE, UNLIKE = 0, 1, 2


def reason_of(code: int) -> Reason | None:
    """Return the reason that a code of an array stands for; None for an answer."""
    return None if code == ANSWERED else REASONS[code - 1]


class Unsure(Record):
    """Refers an image that is still unsure at the final exit; see `sureness`.

    Attributes:
        kind: Measure that is compared.
        threshold: Sureness under which an image is referred.
    """

    kind: Literal["agreed margin"] = "agreed margin"
    threshold: Annotated[float, Field(gt=0.0, le=1.0, strict=True)]


class Unlike(Record):
    """Refers an image that does not look like the calibrate images.

    The energy −ln Σ exp(logit) of an exit is low where the network knows what it sees (Liu et
    al. 2020, "Energy-based out-of-distribution detection"). It needs no features, so every
    backend has it. Each exit that an image passes is asked, so an image that exit 1 finds
    unlike costs no more than exit 1.

    Attributes:
        kind: Measure that is compared.
        thresholds: Energy (M,) of each exit above which an image is referred.
        share: Largest share of the calibrate images that was to be referred so.
    """

    kind: Literal["energy"] = "energy"
    thresholds: tuple[float, ...]
    share: Annotated[float, Field(gt=0.0, lt=1.0)]

    def faults(self, num_exits: int) -> list[str]:
        """Return why it does not fit a network with so many exits; empty if it does."""
        if len(self.thresholds) == num_exits:
            return []
        return [f"{len(self.thresholds)} energies for {num_exits} exits"]

    @property
    def words(self) -> str:
        """When images are referred, in words."""
        limits = ", ".join(f"{threshold:.4g}" for threshold in self.thresholds)
        return f"unlike: energy > {limits} at exits 1 to {len(self.thresholds)}"

    def far(
        self, exit_number: int, logits: ArrayLike, features: Features | None
    ) -> NDArray[np.bool_]:
        """Tell which images (B,) are unlike, asked at exit k."""
        del features
        return np.asarray(energy(logits) > self.thresholds[exit_number - 1])


AnyUnlike = Annotated[Unlike | Distance, Field(discriminator="kind")]
"""When an image does not look like those that the network knows; `kind` says by what."""


class Referral(Record):
    """When an image is referred to a human instead of answered.

    Attributes:
        unsure: Images whose confidence at the final exit is too low; None for none.
        unlike: Images that do not look like those that the network knows; None for none.

    Raises:
        PolicyError: Neither is there.
    """

    unsure: Unsure | None = None
    unlike: AnyUnlike | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.unsure is None and self.unlike is None:
            raise PolicyError("a referral needs a reason: unsure, unlike, or both.")
        return self

    def faults(self, num_exits: int) -> list[str]:
        """Return why the referral does not fit a network with so many exits; empty if it does."""
        return [] if self.unlike is None else self.unlike.faults(num_exits)

    @property
    def needs_features(self) -> bool:
        """Whether images are referred by their features, not by logits alone."""
        return isinstance(self.unlike, Distance)

    @property
    def words(self) -> tuple[str, ...]:
        """When images are referred, in words, one reason a line."""
        words = []
        if self.unsure is not None:
            words.append(
                "unsure: at the final exit, margin of the two largest probabilities × share of "
                f"exits that agree < {self.unsure.threshold:.4g}"
            )
        if self.unlike is not None:
            words.append(self.unlike.words)
        return tuple(words)

    def unlike_at(
        self, exit_number: int, logits: ArrayLike, features: Features | None = None
    ) -> NDArray[np.bool_]:
        """Tell which images (B,) are unlike by the logits (B, C) of exit k, or their features."""
        if self.unlike is None:
            return np.zeros(len(np.asarray(logits)), dtype=np.bool_)
        return self.unlike.far(exit_number, logits, features)

    def codes(
        self,
        exit_number: int,
        logits: ArrayLike,
        previous: ArrayLike,
        temperatures: Sequence[float],
        features: Features | None = None,
    ) -> NDArray[np.int8]:
        """Return for images (B,) that exit at exit k whether they are answered, or why not.

        Args:
            exit_number: Number of the exit k, 1 to M.
            logits: Logits (B, C) of exit k.
            previous: Labels (B, k − 1) of the exits before.
            temperatures: Softmax temperature (M,) of each exit.
            features: Features of the images at exit 1, for a referral by them.

        Returns:
            `ANSWERED`, `UNSURE` or `UNLIKE` for each image; `UNLIKE` goes first.
        """
        codes = np.zeros(len(np.asarray(logits)), dtype=np.int8)
        if self.unsure is not None and exit_number == len(temperatures):
            sure = sureness(logits, previous, temperatures[-1])
            codes[sure < self.unsure.threshold] = UNSURE
        codes[self.unlike_at(exit_number, logits, features)] = UNLIKE
        return codes

    def first_unlike(
        self, logits: NDArray[Any], features: Features | None = None
    ) -> NDArray[np.int64]:
        """Return the first exit (N,) that finds an image unlike, M + 1 where none does.

        Args:
            logits: Logits (M, N, C) of all exits.
            features: Features (N, D) at exit 1, for a referral by them.
        """
        first = np.full(logits.shape[1], len(logits) + 1, dtype=np.int64)
        if self.unlike is not None:
            for number in range(len(logits), 0, -1):
                first[self.unlike_at(number, logits[number - 1], features)] = number
        return first


def sureness(
    logits: ArrayLike, previous: ArrayLike, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return how sure the final exit is of images (B,), a number in [0, 1].

    It is the margin of the two largest probabilities, times the share of exits (this one counts)
    that give the same label. An image on which the exits changed their mind is wrong more often
    than its margin says; see docs/referral.md for what the second factor is worth.

    Args:
        logits: Logits (B, C) of the final exit.
        previous: Labels (B, M − 1) of the exits before.
        temperature: T > 0.

    Raises:
        PolicyError: See `log_softmax`.
    """
    share = agreement(np.asarray(logits), np.asarray(previous))
    return np.asarray(confidence(logits, "margin", temperature) * share)


def energy(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the energy −ln Σ exp(logit) over the last axis; high is unlike.

    Computed in float64 on a contiguous copy, so that one image alone and the same image in a
    batch give the same bits.

    Raises:
        PolicyError: Logits that are not finite.
    """
    scores = np.array(logits, dtype=np.float64, order="C")
    require_finite(scores)
    largest = np.maximum.reduce(scores, axis=-1)
    powers = np.exp(scores - largest[..., None])
    return np.asarray(-(largest + np.log(np.add.reduce(powers, axis=-1))))


def fit_unlike(logits: NDArray[Any], share: float) -> Unlike:
    """Return the energies above which at most a share of good images is referred.

    Every exit gets the same rank: an image is referred if at any exit its energy is above
    the same quantile of the images. So no exit is trusted more than another, and the images that
    exit early are referred no more often than the share says.

    Args:
        logits: Logits (M, N, C) of good images: those of calibrate.
        share: Largest share of them that may be referred.

    Raises:
        PolicyError: Too few images for such a share.
    """
    # It is slow to import, and predicting fits nothing.
    from scipy.stats import rankdata  # noqa: PLC0415

    energies = energy(logits)
    allowed = most_referred(share, energies.shape[1])
    # Images of equal energy have equal ranks, so that a threshold parts them as ranks do.
    ranks = rankdata(energies, method="min", axis=1) - 1
    worst = np.sort(ranks.max(axis=0))[::-1]
    limit = int(worst[allowed])  # at most `allowed` images have a higher rank somewhere
    thresholds = np.sort(energies, axis=1)[:, limit]
    return Unlike(thresholds=tuple(thresholds.tolist()), share=share)


def most_referred(share: float, images: int) -> int:
    """Return how many of the calibrate images a share is at most.

    Raises:
        PolicyError: Less than one.
    """
    allowed = within_share(share, images)
    if allowed < 1:
        raise PolicyError(
            f"a share of {share:g} is less than one of {images} calibrate images: allow more, or "
            f"give calibrate at least {math.ceil(1 / share)} images."
        )
    return allowed


def within_share(share: float, images: int) -> int:
    """Return the largest number of images that is at most a share of them, in spite of rounding."""
    return math.floor(round(share * images, 9))
