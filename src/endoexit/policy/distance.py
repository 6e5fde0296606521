"""Distance of an image's features at exit 1 from those of the training images."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from endoexit.documents import Record
from endoexit.errors import PolicyError

Features = Callable[[], NDArray[Any]]
"""Function that gives the features (B, D) of images at exit 1, called when they are needed."""

_LARGEST = 2048  # features of a policy: its matrix has as many rows and columns


class Distance(Record):
    """Refers an image whose features at exit 1 are far from those of every class.

    The squared Mahalanobis distance to the nearest class mean, with one covariance for all classes
    (Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples").
    Features are means and deviations of the map that exit 1 reads, so that such an image costs no
    more than exit 1. Means and covariance are of train, the threshold is of calibrate.

    Attributes:
        kind: Measure that is compared.
        whitening: Matrix (D, D) after which the features have no covariance within a class.
        means: Mean features (C, D) of the classes, after the whitening.
        threshold: Distance above which an image is referred.
        share: Largest share of the calibrate images that was to be referred so.

    Raises:
        PolicyError: Shapes that do not fit each other, numbers that are not finite.
    """

    kind: Literal["mahalanobis"] = "mahalanobis"
    whitening: tuple[tuple[float, ...], ...]
    means: tuple[tuple[float, ...], ...]
    threshold: Annotated[float, Field(gt=0.0, strict=True)]
    share: Annotated[float, Field(gt=0.0, lt=1.0)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = len(self.whitening)
        fits = 0 < size <= _LARGEST and len(self.means) > 0
        if not fits or any(len(row) != size for row in (*self.whitening, *self.means)):
            raise PolicyError(
                f"the distance of features needs a square matrix of at most {_LARGEST} rows, and a "
                "mean as long for each class."
            )
        if not np.isfinite([*map(sum, self.whitening), *map(sum, self.means)]).all():
            raise PolicyError("the distance of features holds numbers that are not finite.")
        return self

    def faults(self, num_exits: int) -> list[str]:
        """Return why it does not fit a network with so many exits; empty if it does."""
        return [] if num_exits > 1 else ["a distance of features for a network with one exit"]

    @property
    def words(self) -> str:
        """When images are referred, in words."""
        return (
            f"unlike: Mahalanobis distance of {len(self.whitening)} features > "
            f"{self.threshold:.4g} at exit 1"
        )

    def far(
        self, exit_number: int, logits: ArrayLike, features: Features | None
    ) -> NDArray[np.bool_]:
        """Tell which images (B,) are unlike, asked at exit k.

        Raises:
            PolicyError: No features at exit 1, or features of another length.
        """
        if exit_number != 1:
            return np.zeros(len(np.asarray(logits)), dtype=np.bool_)
        if features is None:
            raise PolicyError(
                "this policy looks at the features of exit 1, which are not known here: compute "
                "them, or calibrate with --unlike-by energy."
            )
        return np.asarray(distances(features(), self.whitening, self.means) > self.threshold)


def features_of(features: Features | None, images: NDArray[np.bool_]) -> Features | None:
    """Return the features of the images (N,) that a mask marks."""
    return None if features is None else lambda: features()[images]


def distances(features: ArrayLike, whitening: ArrayLike, means: ArrayLike) -> NDArray[np.float64]:
    """Return the squared distance (B,) of features (B, D) to the nearest mean.

    Computed so that one image alone and the same image in a batch give the same bits.

    Args:
        features: Features (B, D).
        whitening: Matrix (D, D).
        means: Means (C, D) after the whitening.

    Raises:
        PolicyError: Features of another length, or not finite.
    """
    values, matrix = np.asarray(features, np.float64), np.asarray(whitening, np.float64)
    if values.ndim != 2 or values.shape[1] != len(matrix):
        raise PolicyError(
            f"features have shape {values.shape}, but the policy looks at {len(matrix)} of each "
            "image: use the policy that was calibrated for this network."
        )
    if not np.isfinite(values).all():
        raise PolicyError(
            "features hold NaN or infinity: the network failed on an image; check its weights and "
            "its numeric precision."
        )
    # Not a product of matrices: its sums depend on the number of rows.
    white = np.einsum("bd,ed->be", values, matrix)
    apart = white[:, None] - np.asarray(means, np.float64)
    return np.asarray(np.einsum("bcd,bcd->bc", apart, apart).min(axis=1))
