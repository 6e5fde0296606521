import numpy as np
import pytest

from endoexit.policy.guarantee import risk_score
from endoexit.policy.risks import loss_table, parse_risk
from endoexit.policy.rules.base import Candidate
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.judging import best, judged, merits_of
from endoexit.policy.table import ExitTable

CLASSES = ("a", "b", "c")


def test_merits_are_right_answers_or_weighted_losses(make_data):
    data = make_data(3, images=90)
    right = data.correct.astype(np.float32)[None]
    assert np.array_equal(merits_of(right, lambda totals: totals[0] / 90), right[0])
    known = [loss_table(parse_risk(text), data, CLASSES) for text in ("disagreement<=0.1",)]
    assert np.array_equal(merits_of(*risk_score(known)), -known[0].losses)
    both = [
        loss_table(parse_risk(text), data, CLASSES)
        for text in ("disagreement<=0.02", "accuracy_loss<=0.3")
    ]
    merits = merits_of(*risk_score(both))
    # One disagreement weighs as much as its error allows: √(0.02 · 0.98) against √(0.3 · 0.7).
    share = np.sqrt(0.02 * 0.98 / (0.3 * 0.7))
    assert merits == pytest.approx(-both[0].losses - share * both[1].losses, abs=0.12)


def test_cost_and_score_are_those_of_the_given_exits(make_data):
    data = make_data(3, images=90)
    table = ExitTable(data, (1.0,) * 3, (0.3, 0.6, 1.0))
    exits = np.random.default_rng(0).integers(1, 4, size=90)
    right = data.correct.astype(np.float32)[None]
    candidate = judged(FixedRule(exit=1), exits, table, right, lambda totals: totals[0] / 90)
    outcome = table.outcome(exits)
    assert (candidate.cost, candidate.score) == pytest.approx((outcome.cost, outcome.accuracy))
    assert candidate.exits(table) is exits


def test_the_best_are_those_that_no_cheaper_one_beats():
    rules = [
        Candidate(FixedRule(exit=1), cost, score)
        for cost, score in ((0.9, 0.8), (0.3, 0.5), (0.6, 0.4), (0.7, 0.7))
    ]
    assert [candidate.cost for candidate in best(rules)] == [0.3, 0.7, 0.9]
