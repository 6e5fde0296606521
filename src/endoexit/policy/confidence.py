"""Confidences: one number in [0, 1] from the softmax of one exit."""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeGuard, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from endoexit.errors import PolicyError, unknown_name

ConfidenceName = Literal["max_probability", "entropy", "margin"]
CONFIDENCES: tuple[ConfidenceName, ...] = get_args(ConfidenceName)
FEW_CLASSES = 64  # as many as `confidence_of_one` computes sooner than `confidence`
CLOSE = 1e-9  # far more than the two differ, by the order in which they add
CONFIDENCE_WORDS: dict[ConfidenceName, str] = {
    "max_probability": "largest probability",
    "entropy": "1 - normalised entropy",
    "margin": "margin of the two largest probabilities",
}


def is_confidence(name: str) -> TypeGuard[ConfidenceName]:
    """Tell whether a name is that of a confidence."""
    return name in CONFIDENCES


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the logarithm of softmax(logits / temperature) over the last axis.

    Computed in float64 on a contiguous copy, so that one image alone and the same image in a
    batch give the same bits, and a threshold taken from one holds for the other.

    Args:
        logits: (..., C), at least two classes.
        temperature: T > 0.

    Raises:
        PolicyError: Fewer than two classes, or logits that are not finite.
    """
    below = _below_largest(logits, temperature)
    logs: NDArray[np.float64] = below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
    return logs


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the softmax of logits / temperature over the last axis; see `log_softmax`."""
    powers: NDArray[np.float64] = np.exp(_below_largest(logits, temperature))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def require_finite(logits: NDArray[Any]) -> None:
    """Refuse logits, of any shape, of which one is NaN or infinite.

    Raises:
        PolicyError: One is.
    """
    # One sum tells for all of them: an infinity or a NaN makes it neither finite.
    if not math.isfinite(np.add.reduce(logits, axis=None)):
        raise PolicyError(
            "logits hold NaN or infinity: the network failed on an image; "
            "check its weights and its numeric precision."
        )


def _below_largest(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return logits / temperature, less the largest of each row."""
    scaled: NDArray[np.float64] = np.divide(logits, temperature, dtype=np.float64, order="C")
    if scaled.ndim == 0 or scaled.shape[-1] < 2:
        raise PolicyError(
            f"logits have shape {scaled.shape}: the last axis must hold two or more classes."
        )
    require_finite(scaled)
    scaled -= np.maximum.reduce(scaled, axis=-1, keepdims=True)
    return scaled


def margin_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest less the second largest (...) of probabilities (..., C)."""
    ordered = np.partition(probabilities, -2, axis=-1)
    return np.asarray(ordered[..., -1] - ordered[..., -2])


def confidence(
    logits: ArrayLike, rule: ConfidenceName, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return how sure an exit is of each image, a number in [0, 1].

    `max_probability` is max p (MSDNet, Huang et al. 2018), `entropy` is 1 − H(p) / ln C
    (BranchyNet, Teerapittayanon et al. 2016, turned so that more is surer), `margin` is the
    largest minus the second largest probability; p = softmax(logits / temperature).

    Args:
        logits: (..., C).
        rule: One of `CONFIDENCES`.
        temperature: T > 0.

    Returns:
        Shape (...).

    Raises:
        UsageError: No such confidence.
        PolicyError: See `log_softmax`.
    """
    if rule not in CONFIDENCES:
        raise unknown_name("confidence", rule, CONFIDENCES)
    if rule == "max_probability":
        # The largest one's power is 1. This runs at every exit of every image: few operations,
        # and reductions without the Python around the methods of arrays.
        powers = np.exp(_below_largest(logits, temperature))
        return np.asarray(1.0 / np.add.reduce(powers, axis=-1))
    if rule == "entropy":
        logs = log_softmax(logits, temperature)
        values = 1.0 + (np.exp(logs) * logs).sum(axis=-1) / np.log(logs.shape[-1])
    else:
        values = margin_of(softmax(logits, temperature))
    return np.asarray(np.clip(values, 0.0, 1.0))


def confidence_of_one(
    logits: Sequence[float], rule: ConfidenceName, temperature: float
) -> float | None:
    """Return the confidence of one image to within `CLOSE` of what `confidence` returns.

    It makes no arrays: between two stages of a network, whose weights push all else out of the
    processor's caches, that takes a fraction of the time.

    Args:
        logits: (C,), at least two.
        rule: One of `CONFIDENCES`.
        temperature: T > 0.

    Returns:
        The confidence; None for many classes, and for logits that are not finite.
    """
    below = _below_largest_of_one(logits, temperature)
    if below is None:
        return None
    powers = [math.exp(value) for value in below]
    total = sum(powers)
    if rule == "max_probability":
        return 1.0 / total
    if rule == "entropy":
        mean = sum(power * value for power, value in zip(powers, below, strict=True))
        value = 1.0 + (mean / total - math.log(total)) / math.log(len(powers))
    else:
        value = (1.0 - sorted(powers)[-2]) / total
    return min(max(value, 0.0), 1.0)


def softmax_of_one(logits: Sequence[float], temperature: float) -> NDArray[np.float64] | None:
    """Return what `softmax` returns for one image (C,), bit for bit, with less work on arrays.

    Args:
        logits: (C,), at least two.
        temperature: T > 0.

    Returns:
        The softmax; None for many classes, and for logits that are not finite.
    """
    below = _below_largest_of_one(logits, temperature)
    if below is None:
        return None
    powers: NDArray[np.float64] = np.exp(below)
    powers /= np.add.reduce(powers)
    return powers


def _below_largest_of_one(logits: Sequence[float], temperature: float) -> list[float] | None:
    """Return logits / temperature, less the largest."""
    if len(logits) > FEW_CLASSES:
        return None
    scaled = [value / temperature for value in logits]
    if not math.isfinite(sum(scaled)):
        return None
    top = max(scaled)
    return [value - top for value in scaled]
