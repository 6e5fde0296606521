"""Whether answers are like those of calibration: alarms where not, seldom where they are."""

import numpy as np
import pytest
from scipy import stats

from endoexit.policy.answers import Answers, count_answers
from endoexit.serve.drift import LEAST, NOT_KNOWN, Shift, shift_p_value

CLASSES = ("a", "b", "c")
EXITS = (0.5, 0.3, 0.15, 0.05)
LABELS = (0.6, 0.3, 0.1)
SURE = 6.0  # of the distribution of the confidence: the larger, the surer


def drawn(count, seed=0, exits=EXITS, labels=LABELS, sure=SURE):
    """Return exits, labels and confidences of images of one source."""
    random = np.random.default_rng(seed)
    return (
        random.choice(4, count, p=exits) + 1,
        random.choice(3, count, p=labels),
        random.beta(sure, 1.5, count),
    )


def shift_of(answers, calibrated=None, threshold=1e-4, window=1000):
    before = drawn(600, seed=99) if calibrated is None else calibrated
    known = count_answers(*before, num_exits=4, num_classes=3)
    shift = Shift(known, CLASSES, 4, window, threshold)
    for answer in zip(*answers, strict=True):
        shift.add(*answer)
    return shift


def test_the_same_images_are_no_shift():
    document = shift_of(drawn(1000)).document()
    assert not document["shifted"]
    assert document["says"] is None
    assert (document["images"], document["calibrated_images"]) == (1000, 600)
    for name in ("exits", "labels", "confidence"):
        assert sum(document[name]["counts"]) == 1000
        assert sum(document[name]["calibrated"]) == 600
        assert document[name]["p_value"] > 1e-3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("exits", {"exits": (0.35, 0.3, 0.2, 0.15)}),
        ("labels", {"labels": (0.45, 0.35, 0.2)}),
        ("confidence", {"sure": 4.0}),
    ],
)
def test_each_shift_is_found_and_named(name, change):
    shift = shift_of(drawn(1000, **change))
    document = shift.document()
    assert document["shifted"] is shift.is_shifted is True
    assert document["says"] == f"Other {name} than at calibration: the promise may not hold."
    others = {"exits", "labels", "confidence"} - {name}
    assert document[name]["shifted"]
    assert not any(document[measure]["shifted"] for measure in others)


def test_only_the_last_answers_count():
    shifted = drawn(1000, exits=(0.0, 0.0, 0.0, 1.0))
    answers = [np.concatenate(pair) for pair in zip(shifted, drawn(1000), strict=True)]
    assert not shift_of(answers).document()["shifted"]
    assert shift_of([values[::-1] for values in answers]).is_shifted


def test_nothing_is_said_of_too_few():
    few = shift_of(drawn(LEAST - 1)).comparisons()
    assert {comparison.p_value for comparison in few} == {None}
    assert None not in {comparison.p_value for comparison in shift_of(drawn(LEAST)).comparisons()}


def test_without_the_answers_of_calibration_nothing_is_known():
    shift = Shift(None, CLASSES, 4, 1000, 0.5)
    for answer in zip(*drawn(1000), strict=True):
        shift.add(*answer)
    document = shift.document()
    assert document["says"] == NOT_KNOWN
    assert not document["shifted"]
    for name in ("exits", "labels", "confidence"):
        assert sum(document[name]["counts"]) == 1000
        assert document[name]["calibrated"] is document[name]["p_value"] is None


def test_the_confidence_is_counted_where_calibrate_had_its_bins():
    known = Answers(exits=(9, 0, 0, 0), labels=(9, 0, 0), confidence_edges=(0.5, 0.9),
                    confidences=(3, 3, 3))  # fmt: skip
    shift = Shift(known, CLASSES, 4, 1000, 1e-4)
    for confidence in (0.1, 0.5, 0.9):
        shift.add(1, 0, confidence)
    (of_confidence,) = [
        comparison for comparison in shift.comparisons() if comparison.name == "confidence"
    ]
    assert of_confidence.values == ("below 0.5", "0.5 to 0.9", "0.9 or more")
    assert of_confidence.counts.tolist() == [1, 1, 1]


def test_it_is_the_test_of_two_samples():
    counts, calibrated = np.array([520, 280, 150, 50]), np.array([200, 130, 50, 20])
    expected = stats.chi2_contingency(np.stack([counts, calibrated]), correction=False).pvalue
    assert shift_p_value(counts, calibrated) == pytest.approx(expected)
    # Few calibrate images know their shares less well than many.
    assert shift_p_value(counts, calibrated * 100) < expected


@pytest.mark.parametrize(
    ("counts", "calibrated", "merged"),
    [
        # Two rare values are one, which expects enough.
        ([90, 50, 8, 6], [90, 52, 4, 10], [[90, 50, 14], [90, 52, 14]]),
        # A rare value alone expects too few: the rarest of the others is added to it.
        ([90, 50, 3, 1], [90, 55, 2, 2], [[90, 54], [90, 59]]),
        ([9, 9, 8, 8, 6], [9, 8, 8, 8, 5], [[14, 26], [13, 25]]),
        ([60, 40, 0], [50, 48, 0], [[60, 40], [50, 48]]),
    ],
)
def test_every_cell_of_the_test_expects_enough(counts, calibrated, merged):
    p_value = shift_p_value(np.array(counts), np.array(calibrated))
    assert p_value == pytest.approx(stats.chi2_contingency(merged, correction=False).pvalue)
    assert stats.contingency.expected_freq(np.array(merged)).min() >= 10


def test_a_value_that_all_images_have_cannot_differ():
    assert shift_p_value(np.array([0, 0, 100]), np.array([0, 0, 40])) is None
    assert shift_p_value(np.array([100, 2]), np.array([100, 2])) is None
    # Neither can it make the other tests stricter.
    shift = shift_of([np.ones(200, int), *drawn(200)[1:]], [np.ones(600, int), *drawn(600, 9)[1:]])
    comparisons = shift.comparisons()
    assert [comparison.p_value is None for comparison in comparisons] == [True, False, False]
    assert shift.bound(comparisons) == 1e-4 / 2


@pytest.mark.parametrize("images", [100, 1000])
def test_false_alarms_of_all_three_together_are_as_rare_as_the_threshold(images):
    """Also with few calibrate images, whose own shares are known least."""
    threshold, trials, alarms = 0.05, 400, 0
    for seed in range(trials):
        before, today = drawn(images, seed), drawn(300, 10_000 + seed)
        alarms += shift_of(today, before, threshold).is_shifted
    # More would be so by chance once in a thousand; none would be no test at all.
    assert 0 < alarms <= stats.binom(trials, threshold).ppf(0.999)
