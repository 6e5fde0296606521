import itertools

import numpy as np
import pytest

from endoexit.policy.rules.strengths import OPEN, exits_by, screened_thresholds
from endoexit.policy.table import ExitTable


def test_exits_follow_from_strengths_and_thresholds():
    strengths = np.array([[0.1, 0.5, 0.9, -2e9], [0.9, 0.1, 0.9, 0.0]])
    assert exits_by(strengths, (0.5, 0.5)).tolist() == [2, 1, 1, 3]
    assert exits_by(strengths, (None, 0.0)).tolist() == [2, 2, 2, 2]
    assert exits_by(strengths, (OPEN, None)).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("exits", [2, 3])
def test_no_thresholds_at_all_beat_those_that_are_kept(make_data, exits):
    data = make_data(exits, images=12)
    table = ExitTable(data, (1.0,) * exits, (0.3, 0.6, 1.0)[-exits:])
    strengths = np.random.default_rng(0).normal(size=(exits - 1, 12))
    right = data.correct.astype(np.float32)[None]
    kept = list(screened_thresholds(strengths, table, right, lambda totals: totals[0] / 12))
    outcomes = [table.outcome(exits_by(strengths, thresholds)) for thresholds in kept]
    for thresholds in itertools.product(*[(None, *row.tolist(), OPEN) for row in strengths]):
        seen = table.outcome(exits_by(strengths, thresholds))
        assert any(
            each.cost <= seen.cost + 1e-9 and each.accuracy >= seen.accuracy - 1e-9
            for each in outcomes
        )


def test_too_many_exits_try_none(make_data):
    table = ExitTable(make_data(12), (1.0,) * 12, tuple(np.linspace(0.1, 1, 12)))
    right = table.data.correct.astype(np.float32)[None]
    strengths = np.zeros((11, 60))
    assert list(screened_thresholds(strengths, table, right, lambda totals: totals[0])) == []
