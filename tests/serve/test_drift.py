"""Whether images exit as at calibration: alarms where they do not, seldom where they do."""

import numpy as np
import pytest
from scipy import stats

from endoexit.serve.drift import LEAST, ExitShift, shift_p_value

SHARES = (0.5, 0.3, 0.15, 0.05)


def shift_of(exits, shares=SHARES, threshold=1e-4):
    shift = ExitShift(shares, len(SHARES), 1000, threshold)
    for exit_ in exits:
        shift.add(int(exit_))
    return shift


def drawn(count, shares=SHARES, seed=0):
    return np.random.default_rng(seed).choice(len(shares), count, p=shares) + 1


def test_the_same_images_are_no_shift():
    document = shift_of(drawn(1000)).document()
    assert not document["shifted"]
    assert document["says"] is None
    assert sum(document["exits"]) == document["images"] == 1000


def test_other_images_are_one():
    document = shift_of(drawn(1000, (0.3, 0.3, 0.25, 0.15))).document()
    assert document["shifted"] is shift_of(np.full(1000, 4)).is_shifted is True
    assert "the promise may not hold" in document["says"]


def test_only_the_last_answers_count():
    shift = shift_of(np.concatenate([np.full(1000, 4), drawn(1000)]))
    assert not shift.document()["shifted"]


def test_nothing_is_said_of_too_few_or_without_shares():
    assert shift_of(drawn(LEAST - 1)).p_value() is None
    assert shift_of(drawn(LEAST)).p_value() is not None
    assert shift_of(drawn(1000), shares=None).p_value() is None


def test_it_is_the_chi_squared_test():
    counts = np.array([520, 280, 150, 50])
    expected = stats.chisquare(counts, 1000 * np.array(SHARES)).pvalue
    assert shift_p_value(counts, np.array(SHARES)) == pytest.approx(expected)


def test_an_exit_that_no_calibrate_image_took():
    counts = np.array([500, 300, 150, 50])
    p_value = shift_p_value(counts, np.array([0.6, 0.3, 0.1, 0.0]))
    assert p_value < 1e-6
    assert shift_p_value(np.array([100, 0]), np.array([1.0, 0.0])) == pytest.approx(0.48, abs=0.02)


def test_the_false_alarms_are_as_rare_as_the_threshold():
    alarms = sum(
        shift_p_value(np.bincount(drawn(500, seed=seed), minlength=5)[1:], np.array(SHARES)) < 0.01
        for seed in range(2000)
    )
    assert stats.binomtest(alarms, 2000, 0.01).pvalue > 1e-3
