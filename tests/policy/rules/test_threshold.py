import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.errors import PolicyError
from endoexit.policy.confidence import CONFIDENCES, confidence
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.threshold import ThresholdRule, reached
from endoexit.policy.table import ExitTable

COSTS = (1.0, 2.0, 3.0, 4.0)


def test_reached_by_hand():
    values = np.array([0.2, 0.5, 0.9])
    assert reached(values, (None, 0.5, 0.0)).tolist() == [
        [False, False, False],
        [False, True, True],
        [True, True, True],
    ]


def test_conditions_in_words():
    rule = ThresholdRule(kind="margin", thresholds=(None, 0.5, 0.0))
    assert [rule.condition(number) for number in (1, 2, 3)] == [
        False,
        "margin of the two largest probabilities >= 0.5000",
        True,
    ]


def test_ladder_by_hand(make_data):
    table = ExitTable(make_data(2, images=100, classes=2), (1.0, 1.0), (0.5, 1.0))
    options = RuleOptions(rule="margin")
    values = np.sort(table.confidences("margin")[0])[::-1]
    safest, *_ = ThresholdRule.front(
        table, options, np.ones((1, 2, 100), "f4"), lambda totals: totals[0]
    )
    assert safest.rule.thresholds == (0.0,)  # reached by all hundred
    rungs = ThresholdRule.ladder(table, options, safest, 3)
    assert [rung.thresholds for rung in rungs] == [(values[24],), (values[49],), (values[74],)]


def test_shared_thresholds_are_shared_and_safest_first(golden):
    table = ExitTable(golden("test"), (1.0,) * 4, COSTS)
    rules = ThresholdRule.tried(table, RuleOptions(rule="margin", thresholds="shared"))
    assert all(len(set(rule.thresholds)) == 1 for rule in rules)
    assert rules[0].thresholds == (None,) * 3
    assert rules[-1].thresholds == (0.0,) * 3
    costs = [table.outcome(rule.exits(table)).cost for rule in rules]
    assert (np.diff(costs) <= 0).all()


@pytest.mark.parametrize("exits", [2, 6])
def test_geometric_thresholds_go_from_dear_to_cheap(make_data, exits):
    costs = tuple(np.linspace(0.2, 1.0, exits))
    table = ExitTable(make_data(exits, images=300), (1.0,) * exits, costs)
    rules = ThresholdRule.tried(table, RuleOptions(thresholds="geometric"))
    spent = [table.outcome(rule.exits(table)).cost for rule in rules]
    assert (np.diff(spent) <= (exits - 1) / 300).all()  # each floor can shift one image
    assert spent[-1] == pytest.approx(0.2)
    assert spent[0] > 0.98


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3))
def test_lower_thresholds_never_cost_more(golden, pairs):
    table = ExitTable(golden("val"), (1.0,) * 4, COSTS)
    high, low = (
        ThresholdRule(kind="margin", thresholds=tuple(map(pick, pairs))) for pick in (max, min)
    )
    assert table.outcome(low.exits(table)).cost <= table.outcome(high.exits(table)).cost


def test_refusals():
    with pytest.raises(PolicyError, match=r"kind: .*thresholds\.0: .*endoexit calibrate"):
        ThresholdRule(kind="patience", thresholds=(2.0,))
    (fault,) = ThresholdRule(kind="entropy", thresholds=(0.5,)).faults(3)
    assert fault == "1 thresholds, but the rule entropy with 3 exits takes 2"
    assert ThresholdRule(kind="entropy", thresholds=(0.5,)).faults(2) == []


@pytest.mark.parametrize("kind", CONFIDENCES)
@given(data=st.data())
def test_one_image_is_decided_as_in_an_array_or_left_to_it(kind, data):
    row = data.draw(st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=6))
    logits = np.array([row], np.float32)
    value = float(confidence(logits, kind, 1.3)[0])
    threshold = data.draw(st.sampled_from([value, min(1.0, value + 1e-6), max(0.0, value - 1e-6)]))
    rule = ThresholdRule(kind=kind, thresholds=(threshold, None))
    decided = rule.decide(1, logits, np.empty((1, 0)), 1.3)[0]
    assert rule.decide_one(1, row, 1.3) in (decided, None)
    if threshold == value:  # the threshold is often the confidence of an image
        assert decided
        assert rule.decide_one(1, row, 1.3) is None
    assert rule.decide_one(2, row, 1.3) is False
