"""The decision on one image alone is that on a batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from endoexit.errors import PolicyError
from endoexit.policy import ExitPolicy, fixed_exit, patience_policy, threshold_policy
from endoexit.policy.alone import decides_alone, leaves_alone, probabilities_alone
from endoexit.policy.confidence import FEW_CLASSES
from endoexit.policy.referral import Referral, Unsure
from endoexit.policy.rules.threshold import ThresholdRule
from learned_gates import GATES, gate

SIMPLE = (
    *(threshold_policy(3, 0.5, rule=rule) for rule in ("max_probability", "entropy", "margin")),
    ExitPolicy(
        rule=ThresholdRule(kind="margin", thresholds=(None, 0.0)),
        num_exits=3,
        temperatures=(0.5, 1.5, 2.0),
    ),
    patience_policy(3, 2),
    fixed_exit(3, 2),
)


@given(
    policy=st.sampled_from(SIMPLE),
    logits=hnp.arrays(np.float32, (3, 1, 4), elements=st.floats(-6, 6, width=32)),
)
def test_one_image_leaves_where_it_leaves_in_a_batch(policy, logits):
    labels = logits.argmax(axis=2)[:, 0].tolist()
    for number in (1, 2, 3):
        previous = labels[: number - 1]
        row = logits[number - 1]
        alone = leaves_alone(policy, number, row, row[0].tolist(), previous)
        assert alone == policy.leaves(number, row, np.array([previous], np.int64))[0]


@given(
    policy=st.sampled_from(SIMPLE),
    logits=hnp.arrays(
        np.float32, st.tuples(st.just(1), st.integers(2, 64)), elements=st.floats(-60, 60, width=32)
    ),
)
def test_one_image_has_the_probabilities_that_it_has_in_a_batch(policy, logits):
    for number in (1, 2, 3):
        alone = probabilities_alone(policy, number, logits, logits[0].tolist())
        assert alone.dtype == np.float64
        np.testing.assert_array_equal(alone, policy.probabilities(number, logits)[0])


def test_many_classes_and_broken_logits_are_left_to_the_batch():
    policy, many = SIMPLE[0], np.linspace(-3, 3, 2 * FEW_CLASSES, dtype=np.float32)[None]
    alone = probabilities_alone(policy, 1, many, many[0].tolist())
    np.testing.assert_array_equal(alone, policy.probabilities(1, many)[0])
    broken = np.array([[0.0, np.nan]], np.float32)
    with pytest.raises(PolicyError, match="NaN or infinity"):
        probabilities_alone(policy, 1, broken, broken[0].tolist())


def test_gates_and_referrals_are_for_batches():
    assert all(map(decides_alone, SIMPLE))
    assert not decides_alone(
        SIMPLE[0].replaced(referral=Referral(unsure=Unsure(threshold=0.5), unlike=None))
    )
    for kind in GATES:
        learned = ExitPolicy(rule=gate(kind, 3, 4), num_exits=3, temperatures=(1.0, 1.0, 1.0))
        assert not decides_alone(learned)
