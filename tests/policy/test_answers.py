"""What a policy answered on calibrate: counts of exits, labels and confidences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.errors import PolicyError
from endoexit.policy import ExitPolicy, threshold_policy
from endoexit.policy.answers import Answers, answers_of, confidence_bin, count_answers
from endoexit.policy.logits import LogitSet

FIELDS = {"exits": (2, 1), "labels": (1, 2), "confidence_edges": (0.5,), "confidences": (1, 2)}


def test_answers_by_hand():
    # Images 0 and 1 exit at exit 1, image 2 at exit 2, where it gets another label.
    first, second = [0.95, 0.08, 0.6], [0.5, 0.5, 0.3]
    probabilities = np.array([first, second])
    logits = np.log(np.stack([probabilities, 1 - probabilities], axis=-1))
    data = LogitSet("calibrate", logits, np.array([0, 1, 1]))
    answers = answers_of(threshold_policy(2, 0.9), data)
    assert (answers.exits, answers.labels, answers.images) == ((2, 1), (1, 2), 3)
    assert (answers.confidence_edges, answers.confidences) == ((), (3,))


def test_the_temperature_is_in_the_confidence(make_data):
    data = make_data(2, images=1000)
    policy = threshold_policy(2, 0.0)
    soft = policy.replaced(temperatures=(8.0, 1.0))
    assert answers_of(policy, data).confidence_edges[4] > 0.6
    assert answers_of(soft, data).confidence_edges[4] < 0.45


@given(
    images=st.integers(1, 2500),
    values=st.lists(st.floats(0.2, 1.0), min_size=1, max_size=60),
    seed=st.integers(0, 9),
)
def test_every_image_is_in_one_bin_and_no_bin_is_empty(images, values, seed):
    confidences = np.random.default_rng(seed).choice(values, images)
    ones = np.ones(images, np.int64)
    answers = count_answers(ones, ones, confidences, num_exits=2, num_classes=3)
    assert answers.exits == (images, 0)
    assert answers.labels == (0, images, 0)
    assert sum(answers.confidences) == images
    assert min(answers.confidences) > 0
    assert len(answers.confidences) <= 10


def test_two_bins_by_hand():
    ones = np.ones(200, np.int64)
    confidences = np.repeat([0.6, 0.7, 0.9], [40, 50, 110])
    answers = count_answers(ones, ones, confidences, num_exits=1, num_classes=2)
    assert (answers.confidence_edges, answers.confidences) == ((0.9,), (90, 110))


def test_deciles_hold_a_tenth_each():
    confidences = np.random.default_rng(0).uniform(0.3, 1, 5000)
    ones = np.ones(5000, np.int64)
    answers = count_answers(ones, ones, confidences, num_exits=1, num_classes=2)
    assert len(answers.confidences) == 10
    assert np.ptp(answers.confidences) < 20  # some are equal after rounding


def test_noise_of_the_arithmetic_moves_no_image_to_another_bin():
    # Sure images have all but the same confidence: one value, not many bins within the noise.
    ones = np.ones(1000, np.int64)
    sure = 1 - np.linspace(0, 1e-5, 1000)
    assert count_answers(ones, ones, sure, num_exits=1, num_classes=2).confidence_edges == ()
    assert [confidence_bin(value, (0.9,)) for value in (0.9, 0.9 - 1e-7, 0.8999)] == [1, 1, 0]


@pytest.mark.parametrize(
    "change",
    [{"exits": (2, 2)}, {"labels": (1, 1)}, {"confidences": (3,)}, {"confidences": (2, 2)},
     {"confidence_edges": (0.6, 0.5), "confidences": (1, 1, 1)},
     {"exits": (0, 0), "labels": (0, 0), "confidences": (0, 0)}],
)  # fmt: skip
def test_counts_that_do_not_fit_are_refused(change):
    with pytest.raises(PolicyError, match="endoexit calibrate"):
        Answers(**FIELDS | change)


def test_a_policy_refuses_answers_of_other_exits():
    policy = threshold_policy(2, 0.9).replaced(calibrated=Answers(**FIELDS))
    assert ExitPolicy.from_json(policy.to_json()) == policy
    with pytest.raises(PolicyError, match="answers of 2 exits for 3"):
        threshold_policy(3, 0.9).replaced(calibrated=Answers(**FIELDS))
