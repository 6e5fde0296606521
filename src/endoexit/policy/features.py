"""What a learned gate sees of an image at an exit: numbers of the softmax, one row an image.

Every function works row by row, so that one image alone and the same image in a batch give the
same bits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.confidence import margin_of, softmax

Rows = NDArray[np.float64]


def entropy_of(probabilities: Rows) -> Rows:
    """Return the entropy (B,) in nats of probabilities (B, C)."""
    # Not by SciPy: predictions start faster without it.
    logs = np.zeros_like(probabilities)
    np.log(probabilities, out=logs, where=probabilities > 0)
    return np.asarray(-np.add.reduce(probabilities * logs, axis=-1))


def agreement(logits: NDArray[Any], previous: NDArray[Any]) -> Rows:
    """Return the share (B,) of the exits so far, this one included, that give the same label.

    Args:
        logits: Logits (B, C) of exit k.
        previous: Labels (B, k − 1) of the exits before.
    """
    same = (previous == logits.argmax(axis=1)[:, None]).sum(axis=1)
    return np.asarray((1.0 + same) / (1.0 + previous.shape[1]))


def linear_features(logits: NDArray[Any], previous: NDArray[Any], temperature: float) -> Rows:
    """Return (B, C + 5): the probabilities, their largest, 1 − H / ln C, margin, agreement, 1."""
    probabilities = softmax(logits, temperature)
    even = np.log(probabilities.shape[1])
    columns = (
        probabilities.max(axis=1),
        1.0 - entropy_of(probabilities) / even,
        margin_of(probabilities),
        agreement(logits, previous),
        np.ones(len(probabilities)),
    )
    return np.column_stack([probabilities, *columns])


def jei_features(logits: NDArray[Any], temperature: float) -> Rows:
    """Return (B, 5): max p, entropy, margin, entropy of p² / Σ p², 1 (JEI-DNN's four and a bias).

    p² / Σ p² is the softmax at half the temperature.
    """
    probabilities = softmax(logits, temperature)
    columns = (
        probabilities.max(axis=1),
        entropy_of(probabilities),
        margin_of(probabilities),
        entropy_of(softmax(logits, temperature / 2.0)),
        np.ones(len(probabilities)),
    )
    return np.column_stack(columns)


def eenet_features(logits: NDArray[Any], scores: Rows, temperature: float) -> Rows:
    """Return (B, C + 1 + k): the probabilities, max p, 1 − H / ln C, the earlier scores in [0, 1].

    The published code clips the earlier scores in training and not at inference; here they
    are clipped in both.

    Args:
        logits: Logits (B, C) of exit k.
        scores: Scores (B, k − 1) of the exits before.
        temperature: T > 0.
    """
    probabilities = softmax(logits, temperature)
    surer = 1.0 - entropy_of(probabilities) / np.log(probabilities.shape[1])
    earlier = np.clip(scores, 0.0, 1.0)
    return np.column_stack([probabilities, probabilities.max(axis=1), surer, earlier])


def weigh(features: Rows, weights: Rows) -> Rows:
    """Return the weighted sums (B,) of features (B, F); no matrix product, whose bits vary."""
    return np.asarray(np.add.reduce(np.ascontiguousarray(features * weights), axis=1))
