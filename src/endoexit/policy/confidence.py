"""Confidences: one number in [0, 1] from the softmax of one exit."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoexit.errors import PolicyError, unknown_name

ConfidenceName = Literal["max_probability", "entropy", "margin"]
CONFIDENCES: tuple[ConfidenceName, ...] = get_args(ConfidenceName)


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the logarithm of softmax(logits / temperature) over the last axis.

    Computed in float64 on a contiguous copy, so that one image alone and the same image in a
    batch give the same bits, and a threshold taken from one holds for the other.

    Args:
        logits: (..., C), at least two classes.
        temperature: T > 0.

    Raises:
        PolicyError: fewer than two classes, or logits that are not finite.
    """
    scaled = np.ascontiguousarray(logits, dtype=np.float64) / temperature
    if scaled.ndim == 0 or scaled.shape[-1] < 2:
        raise PolicyError(
            f"logits have shape {scaled.shape}: the last axis must hold two or more classes."
        )
    if not np.isfinite(scaled).all():
        raise PolicyError(
            "logits hold NaN or infinity: the network failed on an image; "
            "check its weights and its numeric precision."
        )
    scaled -= scaled.max(axis=-1, keepdims=True)
    scaled -= np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return scaled


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the softmax of logits / temperature over the last axis; see `log_softmax`."""
    return np.exp(log_softmax(logits, temperature))


def confidence(
    logits: ArrayLike, rule: ConfidenceName, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return how sure an exit is of each image, a number in [0, 1].

    `max_probability` is max p (MSDNet, Huang et al. 2018), `entropy` is 1 − H(p) / ln C
    (BranchyNet, Teerapittayanon et al. 2016, turned so that more is surer), `margin` is the
    largest minus the second largest probability; p = softmax(logits / temperature).

    Args:
        logits: (..., C).
        rule: one of `CONFIDENCES`.
        temperature: T > 0.

    Returns:
        Shape (...).

    Raises:
        UsageError: no such confidence.
        PolicyError: see `log_softmax`.
    """
    if rule not in CONFIDENCES:
        raise unknown_name("confidence", rule, CONFIDENCES)
    logs = log_softmax(logits, temperature)
    probabilities = np.exp(logs)
    if rule == "max_probability":
        values = probabilities.max(axis=-1)
    elif rule == "entropy":
        values = 1.0 + (probabilities * logs).sum(axis=-1) / np.log(logs.shape[-1])
    else:
        second, first = np.moveaxis(np.partition(probabilities, -2, axis=-1)[..., -2:], -1, 0)
        values = first - second
    return np.asarray(np.clip(values, 0.0, 1.0))
