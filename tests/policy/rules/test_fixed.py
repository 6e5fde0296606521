import numpy as np

from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.table import ExitTable


def test_all_images_exit_at_the_same_exit():
    rule, logits = FixedRule(exit=2), np.zeros((5, 3))
    assert rule.decide(1, logits, np.zeros((5, 0)), 1.0).tolist() == [False] * 5
    assert rule.decide(2, logits, np.zeros((5, 1)), 1.0).tolist() == [True] * 5


def test_words_and_faults():
    rule = FixedRule(exit=2)
    assert [rule.condition(number) for number in (1, 2, 3)] == [False, True, False]
    assert rule.faults(1) == ["exit must be 1 to 1, got 2"]
    assert rule.faults(2) == []


def test_fixed_exits_on_the_front_are_those_that_pay(golden):
    data = golden("test")
    table = ExitTable(data, (1.0,) * 4, (0.3, 0.6, 0.8, 1.0))
    right = data.correct.astype(np.float32)[None]
    candidates = FixedRule.front(
        table, RuleOptions(rule="fixed"), right, lambda totals: totals[0] / data.num_images
    )
    accuracy = data.correct.mean(axis=1)
    paying = [k + 1 for k in range(4) if k == 0 or accuracy[k] > accuracy[:k].max()]
    assert [candidate.rule.exit for candidate in candidates] == paying
