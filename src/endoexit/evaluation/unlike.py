"""Fitting the distance of features: means and covariance on train, the threshold on calibrate."""

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from endoexit.errors import PolicyError
from endoexit.policy.distance import Distance, distances
from endoexit.policy.referral import most_referred

_DIGITS = 7  # as many as a number of single precision has


def fit_distance(
    train: NDArray[np.float32],
    labels: NDArray[np.int64],
    calibrate: NDArray[np.float32],
    share: float,
) -> Distance:
    """Return the distance above which at most a share of the calibrate images is referred.

    The covariance within classes is shrunk as Ledoit and Wolf (2004) do, on features of the same
    variance.

    Args:
        train: Features (N, D) of the train images.
        labels: Their class indices (N,).
        calibrate: Features (B, D) of the calibrate images.
        share: Largest share of these that may be referred.

    Raises:
        PolicyError: Too few calibrate images for such a share, or train images that are all alike.
    """
    allowed = most_referred(share, len(calibrate))
    values = train.astype(np.float64)
    classes, places = np.unique(labels, return_inverse=True)
    means = np.stack([values[places == index].mean(axis=0) for index in range(len(classes))])
    inside = values - means[places]
    scale = inside.std(axis=0)
    scale[scale == 0.0] = 1.0  # a channel that is always the same tells nothing
    covariance, _ = ledoit_wolf(inside / scale)
    try:
        whitening = _rounded(np.linalg.cholesky(np.linalg.inv(covariance)).T / scale)
    except np.linalg.LinAlgError as error:
        raise PolicyError(
            "the features of the train images of each class are all alike, so nothing tells how "
            "far an image is from them: give train more images of each class, or take "
            "--unlike-by energy."
        ) from error
    white = _rounded(means @ whitening.T)
    ordered = np.sort(distances(calibrate, whitening, white))[::-1]
    return Distance(
        whitening=tuple(map(tuple, whitening.tolist())),
        means=tuple(map(tuple, white.tolist())),
        threshold=float(ordered[allowed]),
        share=share,
    )


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers with as many digits as a policy keeps."""
    return np.array([[float(f"{value:.{_DIGITS}g}") for value in row] for row in values.tolist()])
