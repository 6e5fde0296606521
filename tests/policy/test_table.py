import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.policy import CONFIDENCES, ExitPolicy, fixed_exit, patience_policy
from endoexit.policy.comparisons import (
    exit_shares_by_class,
    oracle,
    oracle_exits,
    random_assignment,
    random_right,
)
from endoexit.policy.logits import LogitSet
from endoexit.policy.table import ExitTable, outcome

COSTS = (1.0, 2.0, 4.0)
# Exit 1 is right for images 0 and 1, exit 2 for 0 and 2, exit 3 for 0 and 2; none for image 3.
ANSWERS = np.array([[0, 1, 1, 1], [0, 0, 2, 1], [0, 0, 2, 2]])
DATA = LogitSet("test", np.eye(3)[ANSWERS], np.array([0, 1, 2, 0]))
threshold = st.none() | st.floats(0, 1)


def test_outcome_by_hand():
    seen = outcome(DATA, np.array([1, 3, 2, 2]), COSTS)
    assert seen.accuracy == 0.5
    assert seen.cost == (1 + 4 + 2 + 2) / 4
    assert seen.exit_shares == (0.25, 0.5, 0.25)


def test_oracle_by_hand():
    assert oracle_exits(DATA).tolist() == [1, 1, 2, 1]
    assert oracle(DATA, COSTS).accuracy == 0.75
    assert oracle(DATA, COSTS).cost == 5 / 4


def test_random_assignment_is_the_mean_over_all_permutations():
    exits = np.array([1, 3, 2, 2])
    expected = random_assignment(DATA, exits, COSTS)
    generator = np.random.default_rng(0)
    drawn = [outcome(DATA, generator.permutation(exits), COSTS).accuracy for _ in range(4000)]
    assert expected.accuracy == pytest.approx(np.mean(drawn), abs=0.01)
    assert expected.accuracy == pytest.approx(0.25 * 0.5 + 0.5 * 0.5 + 0.25 * 0.5)
    assert expected.cost == 9 / 4
    # Image 0 is right at every exit, 1 at exit 1, 2 at exits 2 and 3, 3 nowhere.
    assert random_right(DATA, exits).tolist() == [1.0, 0.25, 0.75, 0.0]


def test_shares_by_class_by_hand():
    shares = exit_shares_by_class(DATA, np.array([1, 3, 2, 2]))
    assert shares.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    four = LogitSet("test", np.eye(4)[ANSWERS], DATA.labels)
    assert exit_shares_by_class(four, np.array([1, 3, 2, 2]))[3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", CONFIDENCES)
@given(thresholds=st.tuples(threshold, threshold, threshold))
def test_the_table_assigns_as_the_policy_does(golden, rule, thresholds):
    data = golden("val")
    policy = ExitPolicy(
        rule=rule, num_exits=4, temperatures=(0.4, 0.6, 1.3, 1), thresholds=thresholds
    )
    table = ExitTable(data, rule, policy.temperatures, (1, 2, 3, 4))
    assert np.array_equal(table.exits(policy), policy.assign(data.logits))


def test_rules_without_thresholds_go_through_the_policy(golden):
    data = golden("val")
    for policy in (patience_policy(4, 2), fixed_exit(4, 3)):
        table = ExitTable(data, policy.rule, policy.temperatures, (1, 2, 3, 4))
        assert np.array_equal(table.exits(policy), policy.assign(data.logits))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3))
def test_lower_thresholds_never_cost_more(golden, pairs):
    table = ExitTable(golden("val"), "margin", (1.0,) * 4, (1.0, 2.0, 3.0, 4.0))
    high, low = (table.policy(tuple(map(pick, pairs))) for pick in (max, min))
    assert table.outcome(table.exits(low)).cost <= table.outcome(table.exits(high)).cost
