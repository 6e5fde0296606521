import numpy as np

from endoexit.policy.features import linear_features
from endoexit.policy.rules.linear_gate import LinearGateRule, fit_backwards
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.table import ExitTable


def test_weight_on_one_confidence_alone_is_a_threshold(golden):
    data, temperatures = golden("test"), (0.5, 0.8, 1.1, 1.0)
    table = ExitTable(data, temperatures, (1, 2, 3, 4))
    classes = data.num_classes
    for place, name in enumerate(("max_probability", "entropy", "margin")):
        row = np.zeros(classes + 5)
        row[classes + place] = 1.0
        rule = LinearGateRule(
            num_classes=classes, weights=(tuple(row),) * 3, thresholds=(0.7, None, 0.4)
        )
        plain = ThresholdRule(kind=name, thresholds=(0.7, None, 0.4))
        assert np.array_equal(rule.exits(table), plain.exits(table))


def test_the_last_gate_first_and_the_others_against_it():
    # One feature and a bias; continuing costs 0.1 at each exit. Where x > 0 exit 1 is right.
    x = np.linspace(-1, 1, 200)
    features = [np.column_stack([x, np.ones(200)])] * 2
    losses = np.array([x < 0, np.zeros(200), np.zeros(200)]) + np.array([[0.0], [0.1], [0.2]])
    first, second = fit_backwards(features, losses, ridge=1e-3)
    assert (features[1] @ second >= 0).all()  # exit 2 is right for all, and cheaper than exit 3
    agreed = (features[0] @ first >= 0) == (x > 0)
    assert agreed.mean() > 0.97


def test_a_price_of_nothing_keeps_the_better_exit_and_a_high_one_the_first(make_data):
    data = make_data(3, images=200)
    features = [
        linear_features(logits, data.predictions[:row].T, 1.0)
        for row, logits in enumerate(data.logits[:2])
    ]
    wrong = (~data.correct).astype(float)
    dear = fit_backwards(features, wrong + 100 * np.array([[0.1], [0.5], [1.0]]), 1.0)
    assert (features[0] @ dear[0] >= 0).all()
    worse = wrong.copy()
    worse[:2] = 1.0
    worse[2] = 0.0
    never = fit_backwards(features, worse, 1.0)
    assert all((seen @ row < 0).all() for seen, row in zip(features, never, strict=True))


def test_rules_of_rising_price_cost_less_and_less(golden):
    data = golden("cal")
    table = ExitTable(data, (1.0,) * 4, (0.25, 0.5, 0.75, 1.0))
    rules = LinearGateRule.fitted(table, data.correct.astype(float))
    spent = [table.outcome(rule.exits(table)).cost for rule in rules]
    assert spent[0] > spent[-1]


def test_words():
    row = (0.0,) * 7
    rule = LinearGateRule(num_classes=2, weights=(row, row), thresholds=(0.25, None))
    assert [rule.condition(number) for number in (1, 2)] == ["linear gate >= 0.2500", False]
