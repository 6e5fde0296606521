import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from endoexit.policy.confidence import CONFIDENCES, confidence, softmax
from endoexit.policy.features import (
    agreement,
    eenet_features,
    jei_features,
    linear_features,
    weigh,
)

scores = hnp.arrays(np.float32, (6, 4), elements=st.floats(-9, 9, width=32))


@given(scores, st.floats(0.2, 5))
def test_columns_are_the_confidences_of_the_rules(logits, temperature):
    previous = np.zeros((6, 1), dtype=int)
    rows = linear_features(logits, previous, temperature)
    assert rows.shape == (6, 4 + 5)
    assert rows[:, :4] == pytest.approx(softmax(logits, temperature))
    for column, name in zip((4, 5, 6), ("max_probability", "entropy", "margin"), strict=True):
        assert name in CONFIDENCES
        assert rows[:, column] == pytest.approx(confidence(logits, name, temperature), abs=1e-9)


def test_agreement_counts_this_exit():
    logits = np.eye(3)[[0, 0, 2]]
    assert agreement(logits, np.zeros((3, 0), int)).tolist() == [1, 1, 1]
    previous = np.array([[0, 0], [0, 1], [1, 1]])
    assert agreement(logits, previous) == pytest.approx([1, 2 / 3, 1 / 3])


def test_the_four_numbers_of_jei_dnn_by_hand():
    p = np.array([0.5, 0.25, 0.25])
    squared = p**2 / (p**2).sum()
    expected = [0.5, -(p * np.log(p)).sum(), 0.25, -(squared * np.log(squared)).sum(), 1]
    assert jei_features(np.log(p)[None], 1.0)[0] == pytest.approx(expected)
    soft = jei_features(3.0 * np.log(p)[None], 3.0)[0]  # logits and temperature three times
    assert soft == pytest.approx(expected)


def test_a_probability_of_zero_has_no_entropy():
    assert jei_features(np.array([[2000.0, 0.0, 0.0]]), 1.0)[0].tolist() == [1, 0, 1, 0, 1]


def test_earlier_scores_are_clipped():
    rows = eenet_features(np.zeros((2, 2)), np.array([[1.5, 0.3], [-0.2, 0.7]]), 1.0)
    assert rows.tolist() == [[0.5, 0.5, 0.5, 0, 1, 0.3], [0.5, 0.5, 0.5, 0, 0, 0.7]]


@given(scores, hnp.arrays(float, 9, elements=st.floats(-50, 50)))
def test_one_image_alone_has_the_bits_that_it_has_in_a_batch(logits, weights):
    previous = np.tile([[0, 1]], (6, 1))
    together = weigh(linear_features(logits, previous, 1.3), weights)
    alone = [
        weigh(linear_features(logits[n : n + 1], previous[n : n + 1], 1.3), weights)[0]
        for n in range(6)
    ]
    assert together.tolist() == alone
