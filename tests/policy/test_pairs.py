import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy.goal_options import make_goal
from endoexit.policy.logits import LogitSet
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
    return here, pairs_of(here, known, goal, RuleOptions(candidates=10))


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
    scores = [pair.score for pair in front]
    assert scores == sorted(scores)
    full = max(pair.cost for pair in pairs)
    spent = [50 * pair.referred + pair.cost / full for pair in sequence]
    assert spent == sorted(spent, reverse=True)
    assert [pair for pair in sequence if pair in front] == front[::-1]
    rungs = [pair for pair in sequence if pair not in front]
    assert rungs
    assert all(rung.no_worse for rung in rungs)


def test_the_test_starts_with_the_share_allowed_even_if_calibrate_shows_no_gain(make_data):
    """Of the final exit, one image is wrong and surest of all: referring more mends nothing."""
    data = make_data(3, images=200)
    logits, labels = data.logits.copy(), data.labels.copy()
    labels[:] = logits[-1].argmax(axis=1)
    surest = sureness(logits[-1], logits[:-1].argmax(axis=2).T).argmax()
    labels[surest] = (labels[surest] + 1) % 3
    here, pairs = tried(LogitSet("calibrate", logits, labels))
    sequence, front = in_order(pairs)
    assert front[-1].referred < 0.05
    rungs = [pair for pair in sequence if pair not in front]
    assert 0.28 < rungs[0].referred <= 0.3
    assert np.diff([pair.referred for pair in sequence]).min() > -0.3 / 4
    final = {pair.threshold: pair for pair in pairs if pair.rule == FixedRule(exit=3)}
    for rung in rungs:
        exits = here.exits(rung.rule)
        answered = here.answered(exits, rung.threshold)
        wrong = data.predictions[exits - 1, np.arange(200)] != labels
        assert (wrong & answered).sum() <= 1, "no worse than the final exit"
        assert rung.cost <= min(pair.cost for pair in final.values())


@pytest.mark.parametrize(
    ("images", "share", "most"), [(100, 0.3, 30), (100, 0.29, 29), (10, 0.3, 3)]
)
def test_as_many_are_referred_as_are_allowed_in_spite_of_rounding(make_data, images, share, most):
    _, pairs = tried(make_data(3, images=images), share=share)
    assert max(round(pair.referred * images) for pair in pairs) == most


def test_more_unlike_images_than_may_be_referred_is_an_error(make_data):
    data = make_data(3, images=300)
    with pytest.raises(PolicyError, match=r"more than 0.05 of the calibrate images look unlike"):
        tried(data, share=0.05, unlike=fit_unlike(data.logits, 0.2))
