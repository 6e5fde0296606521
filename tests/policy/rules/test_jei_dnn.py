import numpy as np
import pytest
from scipy.special import expit

from endoexit.policy.rules.jei_dnn import JeiDnnRule
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.table import ExitTable


def rule(rows, thresholds, classes=3):
    return JeiDnnRule(num_classes=classes, weights=rows, thresholds=thresholds)


def test_a_steep_gate_on_the_largest_probability_is_a_threshold(golden):
    data = golden("test")
    table = ExitTable(data, (0.5, 0.8, 1.1, 1.0), (1, 2, 3, 4))
    steep = tuple((1e6, 0.0, 0.0, 0.0, -1e6 * value) for value in (0.8, 0.7, 0.6))
    gates = rule(steep, (0.5,) * 3, data.num_classes)
    plain = ThresholdRule(kind="max_probability", thresholds=(0.8, 0.7, 0.6))
    assert np.array_equal(gates.exits(table), plain.exits(table))


def test_the_chance_to_exit_is_that_of_an_image_that_came_so_far():
    gates = rule(((0.0,) * 5,) * 3, (0.5,) * 3)
    assert gates.strength(np.array([[0.2]])) == pytest.approx([0.2])
    assert gates.strength(np.array([[0.2, 0.2]])) == pytest.approx([0.2 / 0.8])
    assert gates.strength(np.array([[0.2, 0.4, 0.3]])) == pytest.approx([0.3 / 0.4])
    # P_3 is at most what is left, and where nothing is left the chance is whole.
    assert gates.strength(np.array([[0.2, 0.4, 0.9], [0.9, 0.9, 0.1]])).tolist() == [1, 1]


def test_chances_of_the_exits_are_those_of_the_paper():
    values = np.random.default_rng(0).uniform(0, 0.6, size=(200, 4))
    gates = rule(((0.0,) * 5,) * 4, (0.5,) * 4)
    staying = np.ones(200)
    for k in range(1, 5):
        here = staying * gates.strength(values[:, :k])
        before = values[:, : k - 1].sum(axis=1)
        left = np.maximum(0, np.minimum(values[:, k - 1], 1 - before))
        assert here == pytest.approx(left, abs=1e-12)
        staying = staying - here


def test_the_gate_is_a_sigmoid_of_its_four_numbers():
    gates = rule(((1.0, -0.5, 2.0, 0.3, 0.1),), (0.5,))
    logits = np.log([[0.5, 0.25, 0.25]])
    even = np.array([4, 1, 1]) / 6
    total = 0.5 - 0.5 * 1.5 * np.log(2) + 2 * 0.25 - 0.3 * (even * np.log(even)).sum() + 0.1
    value = gates.gate(1, logits, np.zeros((1, 0)), np.zeros((1, 0)), 1.0)
    assert value == pytest.approx([expit(total)])


def test_gates_open_where_an_exit_is_best(make_data):
    data = make_data(2, images=300)
    table = ExitTable(data, (1.0, 1.0), (0.5, 1.0))
    rules = JeiDnnRule.fitted(table, data.correct.astype(float))
    shares = [(each.exits(table) == 1).mean() for each in rules]
    assert shares[-1] > shares[0] + 0.2  # a higher price of the work opens the gate
    early = rules[0].exits(table) == 1
    gained = data.correct[0].astype(int) - data.correct[1]
    assert gained[early].mean() > gained[~early].mean() + 0.2


def test_words():
    gates = rule(((0.0,) * 5,) * 2, (0.5, None))
    assert gates.condition(1) == "chance to exit here by its gate >= 0.5000"
    assert gates.condition(2) is False
