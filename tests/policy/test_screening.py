import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.errors import PolicyError
from endoexit.policy import CONFIDENCES, screening
from endoexit.policy.rules.threshold import ThresholdRule, reached
from endoexit.policy.screening import (
    MAX_COMBINATIONS,
    candidate_thresholds,
    candidates_per_exit,
    pareto_front,
    screen,
)
from endoexit.policy.table import ExitTable

COSTS = (0.2, 0.5, 0.7, 0.8, 0.9, 1.0)


def screened(table, rule, count, score):
    rows = table.confidences(rule)
    lists = [candidate_thresholds(row, count) for row in rows]
    exiting = [reached(row, thresholds) for row, thresholds in zip(rows, lists, strict=True)]
    right = table.data.correct.astype(np.float32)[None]
    return lists, screen(exiting, right, np.asarray(table.costs), score)


def brute_force(table, kind, lists):
    """Return {thresholds: (cost, accuracy)} of every combination, one policy at a time."""
    data, results = table.data, {}
    for thresholds in itertools.product(*lists):
        rule = ThresholdRule(kind=kind, thresholds=thresholds)
        exits = rule.assign(data.logits, table.temperatures)
        right = [data.predictions[e - 1, n] == data.labels[n] for n, e in enumerate(exits)]
        results[thresholds] = (np.mean([table.costs[e - 1] for e in exits]), np.mean(right))
    return results


@pytest.mark.parametrize("rule", CONFIDENCES)
@pytest.mark.parametrize(("exits", "count"), [(2, 9), (3, 6), (4, 5), (6, 3)])
def test_front_is_that_of_a_brute_force_loop(make_data, monkeypatch, rule, exits, count):
    monkeypatch.setattr(screening, "CELLS_PER_CHUNK", 60 * 7)  # several chunks of seven rows
    temperatures = tuple(np.linspace(0.7, 1.4, exits))
    table = ExitTable(make_data(exits), temperatures, COSTS[-exits:])
    lists, front = screened(table, rule, count, lambda totals: totals[0] / 60)
    results = brute_force(table, rule, lists)
    expected, best = [], -1.0
    for cost, accuracy in sorted(results.values(), key=lambda point: (point[0], -point[1])):
        if accuracy > best + 1e-12:
            expected.append((cost, accuracy))
            best = accuracy
    assert len(front.costs) == len(expected) > 2
    assert np.column_stack([front.costs, front.scores]) == pytest.approx(np.array(expected))
    for choice, cost, score in zip(front.choices, front.costs, front.scores, strict=True):
        thresholds = tuple(lists[k][j] for k, j in enumerate(choice))
        assert results[thresholds] == pytest.approx((cost, score))


def test_several_totals_reach_the_score(make_data):
    data = make_data(3)
    table = ExitTable(data, (1.0,) * 3, COSTS[-3:])
    rows = table.confidences("margin")
    lists = [candidate_thresholds(row, 6) for row in rows]
    exiting = [reached(row, thresholds) for row, thresholds in zip(rows, lists, strict=True)]
    values = np.random.default_rng(0).integers(-1, 2, size=(2, 3, 60)).astype(np.float32)
    front = screen(exiting, values, np.asarray(table.costs), lambda totals: totals.min(axis=0))
    for choice, score in zip(front.choices, front.scores, strict=True):
        thresholds = tuple(lists[k][j] for k, j in enumerate(choice))
        exits = ThresholdRule(kind="margin", thresholds=thresholds).exits(table)
        assert score == values[:, exits - 1, np.arange(60)].sum(axis=1).min()


def test_three_early_exits_of_forty_candidates_take_little_memory(make_data):
    table = ExitTable(make_data(4, images=1000), (1.0,) * 4, COSTS[-4:])
    assert table.confidences("entropy").shape == (3, 1000)
    tracemalloc.start()
    lists, front = screened(table, "entropy", 40, lambda totals: totals[0] / 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**9
    assert [len(thresholds) for thresholds in lists] == [40, 40, 40]
    assert len(front.costs) > 10


def test_candidates_are_observed_quantiles_between_all_and_none():
    values = np.linspace(0.1, 0.9, 9)
    assert candidate_thresholds(values, 2) == (None, 0.0)
    assert candidate_thresholds(values, 4) == (None, values[6], values[3], 0.0)
    inner = candidate_thresholds(np.random.default_rng(0).random(500), 40)
    assert len(inner) == 40
    assert candidate_thresholds(np.array([0.5] * 99), 40) == (None, 0.5, 0.0)
    assert candidate_thresholds(np.zeros(9), 40) == (None, 0.0)


def test_number_of_candidates():
    assert candidates_per_exit(4, None) == 40
    assert (
        candidates_per_exit(6, None) ** 5
        <= MAX_COMBINATIONS
        < (candidates_per_exit(6, None) + 1) ** 5
    )
    assert candidates_per_exit(2, 1000) == 1000
    with pytest.raises(PolicyError, match=r"1\.02e\+08 combinations; at most 20 .*Ask for fewer"):
        candidates_per_exit(6, 40)
    with pytest.raises(PolicyError, match="nothing to choose"):
        candidates_per_exit(3, 1)


points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40)


@given(points)
def test_front_holds_no_beaten_point_and_beats_all_others(pairs):
    costs, scores = np.array(pairs, dtype=float).T
    front = pareto_front(costs, scores)
    assert (np.diff(costs[front]) > 0).all()
    assert (np.diff(scores[front]) > 0).all()
    for cost, score in pairs:
        assert ((costs[front] <= cost) & (scores[front] >= score)).any()
