"""Scores by hand on a small table, against scikit-learn draw by draw, and at the edges."""

import json

import numpy as np
import pytest
from sklearn import metrics

from endoexit.evaluation.intervals import GroupBootstrap
from endoexit.evaluation.scores import macro_f1s, mccs, score

CLASSES = ("bowel", "polyp", "stool")


def spread(answers: list[int], certainty: float = 0.8, classes: int = 3) -> np.ndarray:
    """Probabilities whose largest is `certainty`, at the given answers."""
    rows = np.full((len(answers), classes), (1 - certainty) / (classes - 1))
    rows[np.arange(len(answers)), answers] = certainty
    return rows


def scored(labels: list[int], probabilities: np.ndarray, classes=CLASSES):
    return score(
        probabilities, np.array(labels), classes, GroupBootstrap(np.arange(len(labels)), 200)
    )


def test_a_table_by_hand():
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    answers = [0, 0, 0, 1, 1, 1, 0, 2, 2, 1]
    scores = scored(labels, spread(answers))
    assert scores.confusion == ((3, 1, 0), (1, 2, 0), (0, 1, 2))
    assert scores.accuracy.value == pytest.approx(7 / 10)
    # F1 = 2·hits / (true + answered): 6/8, 4/7, 4/5.
    assert scores.macro_f1.value == pytest.approx((6 / 8 + 4 / 7 + 4 / 5) / 3)
    sensitivity = [entry.sensitivity.value for entry in scores.classes]
    specificity = [entry.specificity.value for entry in scores.classes]
    assert sensitivity == pytest.approx([3 / 4, 2 / 3, 2 / 3])
    assert specificity == pytest.approx([5 / 6, 5 / 7, 7 / 7])
    assert [entry.images for entry in scores.classes] == [4, 3, 3]
    # All are 0.8 sure and 0.7 are right.
    assert scores.ece.value == pytest.approx(0.1)
    assert scores.confidence_auroc.value == pytest.approx(0.5)  # equally sure of right and wrong
    assert scores.classes[2].specificity.interval.low == pytest.approx(0.025 ** (1 / 7))


def test_calibration_error_weighs_its_bins():
    # Bin of 0.95: 4 images, 3 right; bin of 0.55: 6 images, 3 right.
    probabilities = np.concatenate((spread([0] * 4, 0.95), spread([1] * 6, 0.55)))
    scores = scored([0, 0, 0, 2, 1, 1, 1, 2, 2, 2], probabilities)
    assert scores.ece.value == pytest.approx(0.4 * 0.20 + 0.6 * 0.05)


def test_confidence_ranks_right_before_wrong():
    probabilities = np.concatenate((spread([0, 1, 2], 0.9), spread([0, 1, 2], 0.5)))
    assert scored([0, 1, 2, 1, 2, 0], probabilities).confidence_auroc.value == 1.0
    assert scored([1, 2, 0, 0, 1, 2], probabilities).confidence_auroc.value == 0.0


def test_renaming_the_classes_changes_no_score():
    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 3, 80), random.dirichlet(np.ones(3), 80)
    order = np.array([2, 0, 1])  # new index of each class
    moved = np.empty_like(probabilities)
    moved[:, order] = probabilities
    before, after = scored(labels, probabilities), scored(order[labels], moved)
    for name in ("accuracy", "macro_f1", "mcc", "ece", "auroc", "confidence_auroc"):
        assert getattr(after, name).value == pytest.approx(getattr(before, name).value), name


def test_the_scores_of_every_draw_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    labels, answers = random.integers(0, 3, 12), random.integers(0, 3, 12)
    counts = [np.bincount(random.integers(0, 12, 12), minlength=12) for _ in range(40)]
    counts.append(np.eye(12, dtype=int)[0] * 12)  # one image, twelve times
    confusions = np.stack(
        [
            metrics.confusion_matrix(labels, answers, labels=range(3), sample_weight=weights)
            for weights in counts
        ]
    ).astype(float)
    draws = zip(counts, macro_f1s(confusions), mccs(confusions), strict=True)
    for weights, f1, mcc in draws:
        drawn = weights > 0
        assert f1 == pytest.approx(
            metrics.f1_score(
                labels, answers, labels=np.unique(labels[drawn]), average="macro",
                sample_weight=weights, zero_division=0.0,
            )
        )  # fmt: skip
        if len(set(labels[drawn])) == 1 or len(set(answers[drawn])) == 1:
            assert np.isnan(mcc)
        else:
            assert mcc == pytest.approx(
                metrics.matthews_corrcoef(labels, answers, sample_weight=weights)
            )
    assert np.isnan(mccs(confusions)).sum() == 1


def test_draws_without_a_class_do_not_widen_the_interval_of_perfect_answers():
    scores = scored([0, 1, 2], spread([0, 1, 2]))
    assert (scores.macro_f1.value, scores.mcc.value) == (1.0, 1.0)
    for perfect in (scores.macro_f1, scores.mcc):
        assert perfect.interval is None
        assert perfect.reason == "no interval: every draw of groups gives the same value"


def test_a_class_that_does_not_occur_is_null_with_a_reason():
    scores = scored([0, 0, 1, 1], spread([0, 1, 1, 2], 0.7))
    stool = scores.classes[2]
    assert stool.images == 0
    assert stool.sensitivity.value is None
    assert stool.sensitivity.reason == "undefined: no image is of this class"
    assert stool.specificity.value == 0.75
    assert scores.macro_f1.reason == "without classes that do not occur: stool"
    assert scores.macro_f1.value == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert scores.auroc.value is not None
    json.dumps(scores.model_dump(), allow_nan=False)


def test_one_class_only_leaves_nothing_undefined_as_a_number():
    scores = scored([1, 1, 1], spread([1, 1, 1]))
    assert scores.accuracy.value == 1.0
    assert scores.mcc.value is None
    assert scores.mcc.reason == "undefined: all labels, or all answers, are one class"
    assert scores.auroc.value is None
    assert scores.auroc.reason.startswith("undefined: all images are of one class")
    assert scores.confidence_auroc.reason == "undefined: all answers are right"
    assert scores.classes[1].specificity.reason == "undefined: all images are of this class"
    json.dumps(scores.model_dump(), allow_nan=False)


def test_all_wrong():
    scores = scored([0, 1, 2], spread([1, 2, 0]))
    assert scores.accuracy.value == 0.0
    assert scores.confidence_auroc.reason == "undefined: all answers are wrong"


def test_two_classes_work():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    scores = scored([0, 1, 0, 1], probabilities, ("healthy", "ill"))
    assert scores.auroc.value == pytest.approx(0.75)  # of four pairs, three in order
