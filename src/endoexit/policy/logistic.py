"""Weighted logistic regression: the fit of the linear gates."""

import numpy as np
from numpy.typing import NDArray

# The bias may be large without harm: an exit that few images may use needs it.
_BIAS_SHARE = 0.01
_ITERATIONS = 200


def fit_logistic(
    features: NDArray[np.float64],
    targets: NDArray[np.bool_],
    weights: NDArray[np.float64],
    ridge: float,
) -> NDArray[np.float64]:
    """Return the weights (F,) that minimise Σ w ln(1 + exp(∓z)) + ridge / 2 · Σ β².

    The weights of the images are scaled to a mean of 1 first. The last feature must be 1: its
    weight is the bias, which the ridge holds back a hundred times less.

    Args:
        features: (N, F).
        targets: Mask (N,): z = features · β should be positive there, and negative elsewhere.
        weights: Weight (N,) of each image, 0 or more; if all are 0, β is 0.
        ridge: Strength of the penalty, more than 0.
    """
    # Slow to import, and predicting fits nothing.
    from scipy.optimize import minimize  # noqa: PLC0415
    from scipy.special import expit  # noqa: PLC0415

    total, width = weights.sum(), features.shape[1]
    if total == 0.0:
        return np.zeros(width)
    scaled = weights * (len(weights) / total)
    signs = np.where(targets, 1.0, -1.0)
    penalty = np.full(width, ridge)
    penalty[-1] *= _BIAS_SHARE

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = signs * (features @ beta)
        value = scaled @ np.logaddexp(0.0, -margins) + 0.5 * penalty @ beta**2
        slope = -(scaled * signs * expit(-margins)) @ features + penalty * beta
        return float(value), slope

    fit = minimize(
        loss, np.zeros(width), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}
    )
    return np.asarray(fit.x)
