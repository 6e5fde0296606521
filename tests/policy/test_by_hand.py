import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy import deadline_policy, fixed_exit, patience_policy, threshold_policy


def test_policies_typed_by_hand_promise_nothing_and_serve_any_network():
    for policy in (
        threshold_policy(3, 0.5),
        fixed_exit(3, 2),
        patience_policy(3, 2),
        deadline_policy(3, 40.0),
    ):
        assert policy.temperatures == (1.0,) * 3
        assert (policy.provenance, policy.promises, policy.goal) == (None, (), None)


def test_each_decides_by_its_own_rule():
    logits = np.log(np.array([[[0.6, 0.4]], [[0.2, 0.8]], [[0.1, 0.9]]]))
    assert threshold_policy(3, 0.7).assign(logits).tolist() == [2]
    assert threshold_policy(3, 0.1, rule="margin").assign(logits).tolist() == [1]
    assert fixed_exit(3, 1).assign(logits).tolist() == [1]
    assert patience_policy(3, 2).assign(logits).tolist() == [3]
    assert deadline_policy(3, 40.0).conditions() == ("out of time", "out of time", "always")


def test_numbers_that_make_no_policy_are_refused():
    with pytest.raises(PolicyError, match="exit must be 1 to 3, got 4"):
        fixed_exit(3, 4)
    with pytest.raises(PolicyError, match="thresholds"):
        threshold_policy(3, 1.5)
