import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy import patience_policy
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.patience import PatienceRule
from endoexit.policy.table import ExitTable


def test_decides_by_the_last_labels_only():
    logits = np.eye(3)[[0, 0, 1]]
    previous = np.array([[0, 1], [1, 0], [1, 1]])
    two, three = PatienceRule(patience=2), PatienceRule(patience=3)
    assert two.decide(3, logits, previous, 1.0).tolist() == [False, True, True]
    assert three.decide(3, logits, previous, 1.0).tolist() == [False, False, True]
    assert three.decide(2, logits, previous[:, 1:], 1.0).tolist() == [False] * 3


def test_words_and_faults():
    rule = PatienceRule(patience=3)
    assert rule.condition(2) is False
    assert rule.condition(3) == "3 consecutive exits agree"
    assert rule.faults(2) == ["patience must be 2 to 2, got 3"]
    assert rule.faults(3) == []
    assert PatienceRule(patience=1).faults(3) == ["patience must be 2 to 3, got 1"]


def test_safest_first(make_data):
    table = ExitTable(make_data(4), (1.0,) * 4, (1.0, 2.0, 3.0, 4.0))
    rules = PatienceRule.tried(table, RuleOptions(rule="patience"))
    assert [rule.patience for rule in rules] == [4, 3, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_network_that_failed_is_refused_at_the_first_exit(bad):
    logits = np.zeros((3, 2, 4))
    logits[0, 1, 0] = bad
    with pytest.raises(PolicyError, match="NaN or infinity"):
        patience_policy(3, 2).assign(logits)
