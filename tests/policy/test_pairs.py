import numpy as np
import pytest

from endoexit.policy.goal_options import make_goal
from endoexit.policy.options import RuleOptions
from endoexit.policy.pairs import Cohort, in_order, pairs_of
from endoexit.policy.referral import fit_unlike, sureness
from endoexit.policy.risks import loss_table
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.table import ExitTable

CLASSES = ("a", "b", "c")
COSTS = (0.3, 0.6, 1.0)


def tried(data, share=0.3, unlike=None):
    goal = make_goal(guarantee=["error<=0.1"], max_referral=share)
    here = Cohort.of(ExitTable(data, (1.0,) * 3, COSTS), unlike)
    known = [loss_table(goal.risks[0], data, CLASSES)]
    return here, pairs_of(here, known, [1.0], goal, RuleOptions(candidates=10))


def test_no_pair_refers_more_than_the_share_and_each_says_what_it_does(make_data):
    data = make_data(3, images=300)
    here, pairs = tried(data, unlike=fit_unlike(data.logits, 0.05))
    sure = sureness(data.logits[-1], data.predictions[:-1].T)
    for pair in pairs[:: len(pairs) // 50]:
        exits = here.exits(pair.rule)
        answered = here.answered(exits, pair.threshold)
        unsure = (exits == 3) & (sure < (pair.threshold or 0.0))
        assert (answered == ~(unsure | (here.first <= exits))).all()
        assert pair.referred == pytest.approx(1 - answered.mean())
        assert pair.referred <= 0.3
        assert pair.cost == pytest.approx(np.asarray(COSTS)[exits - 1].mean())


def test_the_final_exit_alone_is_tried_and_no_rule_seems_safer_than_it(make_data):
    _, pairs = tried(make_data(3, images=300))
    final = {pair.threshold: pair for pair in pairs if pair.rule == FixedRule(exit=3)}
    assert None in final
    assert max(pair.score for pair in pairs if pair.threshold is None) == pytest.approx(
        final[None].score
    )


def test_the_order_is_from_safe_to_few_referred(make_data):
    _, pairs = tried(make_data(3, images=300))
    sequence, front = in_order(pairs)
    assert sequence[-len(front) :] == front[::-1]
    scores = [pair.score for pair in front]
    assert scores == sorted(scores)
    rungs = sequence[: -len(front)]
    assert all(rung.referred > front[-1].referred for rung in rungs)
    assert [rung.referred for rung in rungs] == sorted((r.referred for r in rungs), reverse=True)
