"""Scores of the answers to one cohort, by scikit-learn and torchmetrics.

Where a cohort does not define a score (a class that does not occur, no wrong answer), the
value is None and the reason says so: never NaN, and never a number that stands for nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_calibration_error

from endoexit.evaluation.estimates import ClassScores, Estimate, Scores
from endoexit.evaluation.intervals import (
    Floats,
    GroupBootstrap,
    estimate,
    exact_interval,
)

ECE_BINS = 15

Labels = NDArray[np.int64]


def score(
    probabilities: Floats, labels: Labels, classes: Sequence[str], bootstrap: GroupBootstrap
) -> Scores:
    """Score the answers to one cohort.

    Args:
        probabilities: Probabilities (N, C), rows sum to 1; the most probable class is the answer.
        labels: True class indices (N,).
        classes: C names.
        bootstrap: Bootstrap over the groups of the same N images.
    """
    predicted = probabilities.argmax(axis=1)
    indices = np.arange(len(classes))
    present = np.unique(labels)
    absent = [classes[index] for index in np.setdiff1d(indices, present)]
    note = f"without classes that do not occur: {', '.join(absent)}" if absent else None
    confusion = metrics.confusion_matrix(labels, predicted, labels=indices)
    draws = _confusions(labels, predicted, len(classes), bootstrap)
    macro_f1 = metrics.f1_score(
        labels, predicted, labels=present, average="macro", zero_division=0.0
    )
    return Scores(
        accuracy=bootstrap.proportion(predicted == labels),
        macro_f1=_with_note(estimate(float(macro_f1), bootstrap.interval(macro_f1s(draws))), note),
        mcc=_mcc(labels, predicted, draws, bootstrap),
        ece=_calibration_error(probabilities, labels),
        auroc=_with_note(_auroc(probabilities, labels, present), note),
        confidence_auroc=_confidence_auroc(probabilities, predicted == labels),
        classes=_class_scores(confusion, classes),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _confusions(
    labels: Labels, predicted: Labels, num_classes: int, bootstrap: GroupBootstrap
) -> Floats:
    """Return the confusion matrix of every draw, (R, C, C)."""
    cells = np.zeros((len(labels), num_classes * num_classes))
    cells[np.arange(len(labels)), labels * num_classes + predicted] = 1
    return bootstrap.sums(cells).reshape(-1, num_classes, num_classes)


def macro_f1s(confusions: Floats) -> Floats:
    """Return the macro F1 of many confusion matrices (R, C, C) at once, as scikit-learn's.

    The mean is over the classes that occur in the draw.
    """
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    true, answered = confusions.sum(axis=2), confusions.sum(axis=1)
    occurs = true > 0
    f1 = 2 * hits / np.where(occurs, true + answered, 1)
    return np.asarray((f1 * occurs).sum(axis=1) / occurs.sum(axis=1))


def mccs(confusions: Floats) -> Floats:
    """Return Matthews' coefficient of many confusion matrices (R, C, C), as scikit-learn's.

    NaN where it is undefined: all images, or all answers, of a draw are one class.
    """
    true, answered = confusions.sum(axis=2), confusions.sum(axis=1)
    images = true.sum(axis=1)
    hits = np.trace(confusions, axis1=1, axis2=2)
    covariance = hits * images - (true * answered).sum(axis=1)
    spread = (images**2 - (true**2).sum(axis=1)) * (images**2 - (answered**2).sum(axis=1))
    return np.asarray(covariance / np.sqrt(np.where(spread > 0, spread, np.nan)))


def _mcc(labels: Labels, predicted: Labels, draws: Floats, bootstrap: GroupBootstrap) -> Estimate:
    if len(np.unique(labels)) < 2 or len(np.unique(predicted)) < 2:
        return Estimate(value=None, reason="undefined: all labels, or all answers, are one class")
    value = float(metrics.matthews_corrcoef(labels, predicted))
    return estimate(value, bootstrap.interval(mccs(draws)))


def _calibration_error(probabilities: Floats, labels: Labels) -> Estimate:
    error = multiclass_calibration_error(
        torch.from_numpy(probabilities),
        torch.from_numpy(labels),
        num_classes=probabilities.shape[1],
        n_bins=ECE_BINS,
    )
    return Estimate(value=float(error))


def _auroc(probabilities: Floats, labels: Labels, present: Labels) -> Estimate:
    if len(present) < 2:
        return Estimate(value=None, reason="undefined: all images are of one class")
    truth = labels[:, None] == present
    return Estimate(value=float(metrics.roc_auc_score(truth, probabilities[:, present])))


def _confidence_auroc(probabilities: Floats, right: NDArray[np.bool_]) -> Estimate:
    if right.all() or not right.any():
        which = "right" if right.all() else "wrong"
        return Estimate(value=None, reason=f"undefined: all answers are {which}")
    return Estimate(value=float(metrics.roc_auc_score(right, probabilities.max(axis=1))))


def _class_scores(confusion: NDArray[np.int64], classes: Sequence[str]) -> tuple[ClassScores, ...]:
    hits = confusion.diagonal()
    images, answered, total = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    negatives = total - images
    left_alone = negatives - (answered - hits)
    return tuple(
        ClassScores(
            name=name,
            images=int(images[index]),
            sensitivity=_ratio(hits[index], images[index], "no image is of this class"),
            specificity=_ratio(left_alone[index], negatives[index], "all images are of this class"),
        )
        for index, name in enumerate(classes)
    )


def _ratio(hits: int, trials: int, why_not: str) -> Estimate:
    if trials == 0:
        return Estimate(value=None, reason=f"undefined: {why_not}")
    return Estimate(value=float(hits / trials), interval=exact_interval(int(hits), int(trials)))


def _with_note(estimate: Estimate, note: str | None) -> Estimate:
    reasons = [reason for reason in (estimate.reason, note) if reason]
    return estimate.replaced(reason="; ".join(reasons) or None)
