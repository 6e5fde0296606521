import re
from dataclasses import replace

import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy.document import Costs
from endoexit.policy.goal_options import make_goal
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.proven import FELL_BACK, FINAL_ONLY
from endoexit.policy.pvalues import binomial_p_value
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.search import find_policy
from endoexit.policy.temperature import fit_temperatures
from searching import FAMILIES, find


@pytest.fixture
def large(make_data):
    """Calibrate and certify cohorts large enough for guarantees."""
    return make_data(4, images=1500, seed=1), make_data(4, images=1500, seed=2, name="certify")


GUARANTEES = [
    ["disagreement<=0.1"],
    ["accuracy_loss<=0.05"],
    ["missed[class 1]<=0.1"],
    ["disagreement<=0.1", "accuracy_loss<=0.05", "missed[class 1]<=0.1"],
]


@pytest.mark.parametrize("options", FAMILIES, ids=str)
@pytest.mark.parametrize("guarantee", GUARANTEES, ids=str)
def test_guarantee(large, options, guarantee):
    calibrate, certify = large
    result = find(calibrate, certify, options, guarantee=guarantee)
    policy = result.policy
    assert [str(promise.risk) for promise in policy.promises] == guarantee
    assert [trial.passed for trial in result.trials[:-1]] == [True] * (len(result.trials) - 1)
    if policy.fell_back:
        assert (policy.rule, policy.note) == (FixedRule(exit=4), FELL_BACK)
        return
    chosen = [trial.rule for trial in result.trials if trial.passed][-1]
    assert policy.rule == chosen
    assert all(promise.p_value <= 0.05 for promise in policy.promises)
    exits = policy.assign(certify.logits)
    answers = certify.predictions[exits - 1, np.arange(1500)]
    if guarantee[0].startswith("disagreement"):
        observed = (answers != certify.predictions[-1]).mean()
        assert policy.promises[0].observed == pytest.approx(observed)
    tested = [point.p_value for point in policy.front if point.p_value is not None]
    assert sum(value <= 0.05 for value in tested) >= len(tested) - 1
    assert result.expected.exit_shares[-1] < 1.0


def test_front_carries_the_p_values_of_its_own_points(large):
    calibrate, certify = large
    result = find(calibrate, certify, guarantee=["disagreement<=0.1"])
    by_rule = {trial.rule: trial.tests[0].p_value for trial in result.trials}
    tested = [point for point in result.policy.front if point.p_value is not None]
    assert len(tested) > 3
    for point in tested:
        assert by_rule[point.rule] == point.p_value
    # The chosen point is the cheapest that passed; the next cheaper one failed.
    passed = [point for point in tested if point.p_value <= 0.05]
    assert result.policy.rule == passed[0].rule
    assert tested[0].p_value > 0.05


def test_more_risks_never_make_it_cheaper(large):
    calibrate, certify = large
    cost_of_one = find(calibrate, certify, guarantee=["disagreement<=0.1"]).expected.cost
    both = find(calibrate, certify, guarantee=["disagreement<=0.1", "disagreement[class 1]<=0.05"])
    assert both.expected.cost > cost_of_one


def test_falls_back_to_the_final_exit_and_says_so(large):
    calibrate, certify = large
    wrong = certify.logits.copy()
    wrong[:3] = np.roll(wrong[:3], 1, axis=2)  # on certify the early exits are always wrong
    result = find(
        calibrate,
        LogitSet("certify", wrong, certify.labels, np.arange(1500) // 2),
        guarantee=["disagreement<=0.01", "missed[class 1]<=0.05"],
    )
    policy = result.policy
    assert policy.rule == FixedRule(exit=4)
    assert policy.temperatures == fit_temperatures(calibrate)
    assert (policy.note, policy.fell_back) == (FELL_BACK, True)
    assert {promise.method for promise in policy.promises} == {"by construction"}
    assert [(promise.unit, promise.images) for promise in policy.promises] == [
        ("group", 750),
        ("group", len(np.unique(np.flatnonzero(certify.labels == 1) // 2))),
    ]
    assert len(policy.front) > 1
    assert result.expected.cost == 40.0


def test_two_and_six_exits(make_data):
    for exits in (2, 6):
        values = tuple(float(k) for k in range(1, exits + 1))
        result = find_policy(
            make_goal(guarantee=["disagreement<=0.2"]),
            calibrate=make_data(exits, images=700, seed=1),
            certify=make_data(exits, images=700, seed=2),
            costs=Costs(values=values, unit="macs", source="formula"),
            classes=("a", "b", "c"),
            options=RuleOptions(candidates=8),
        )
        assert len(result.policy.rule.thresholds) == exits - 1
        assert result.expected.cost < exits


def test_groups(large):
    calibrate, certify = large
    by_group = replace(certify, groups=np.arange(1500) // 3)
    goal = {"guarantee": ["disagreement<=0.1"]}
    images = find(calibrate, by_group, unit="image", **goal).policy
    assert "1500 certify images come from 500 groups" in images.note
    assert (images.promises[0].unit, images.promises[0].unit_reason) == ("image", "asked for")
    groups = find(calibrate, by_group, unit="group", **goal).policy
    assert (groups.promises[0].unit, groups.promises[0].images) == ("group", 500)
    assert (groups.promises[0].unit_reason, groups.note) == ("asked for", None)
    with pytest.raises(PolicyError, match="needs the groups of the certify images"):
        find(calibrate, certify, unit="group", **goal)


def test_left_to_itself_it_counts_groups_where_one_holds_several_images(large):
    calibrate, certify = large
    goal = {"guarantee": ["disagreement<=0.1"]}
    nearly = np.arange(1500)
    nearly[1] = 0  # two near-copies among 1500 images
    for groups, unit, images, reason in (
        (None, "image", 1500, "the certify images have no groups"),
        (np.arange(1500), "image", 1500, "no two certify images are of one group"),
        (nearly, "group", 1499, "the 1500 certify images come from 1499 groups"),
        (np.arange(1500) // 3, "group", 500, "the 1500 certify images come from 500 groups"),
    ):
        policy = find(calibrate, replace(certify, groups=groups), **goal).policy
        (promise,) = policy.promises
        assert (promise.unit, promise.images, promise.unit_reason) == (unit, images, reason)
        assert policy.note is None
        asked = find(calibrate, replace(certify, groups=groups), unit=unit, **goal).policy
        assert asked.rule == policy.rule


def test_absolute_risks_are_proven_for_the_final_exit_first(large):
    calibrate, certify = large
    wrong = 1.0 - certify.final_accuracy
    result = find(calibrate, certify, guarantee=[f"error<={wrong + 0.08:.3f}"])
    assert result.trials[0].rule == FixedRule(exit=4)
    (promise,) = result.policy.promises
    assert promise.method == "exact binomial"
    exits = result.policy.assign(certify.logits)
    answers = certify.predictions[exits - 1, np.arange(1500)]
    assert promise.observed == pytest.approx((answers != certify.labels).mean())
    assert result.expected.cost < 40.0
    assert not result.policy.fell_back


def test_an_absolute_risk_of_the_final_exit_that_cannot_be_proven_is_refused(large):
    calibrate, certify = large
    wrong = 1.0 - certify.final_accuracy
    with pytest.raises(PolicyError, match="not even with the final exit") as error:
        find(calibrate, certify, guarantee=[f"error<={wrong + 0.002:.4f}"])
    best = float(re.search(r"It could promise error <= ([0-9.]+)\.", str(error.value))[1])
    assert wrong < best < wrong + 0.05
    assert re.search(r"\(about \d+ at the share seen\)", str(error.value))
    find(calibrate, certify, guarantee=[f"error<={best}"])  # what it says holds


def test_only_the_final_exit_proven_is_a_promise_without_early_exits(large):
    calibrate, certify = large
    spoilt = certify.logits.copy()
    spoilt[:3] = np.roll(spoilt[:3], 1, axis=2)
    limit = 1.0 - certify.final_accuracy + 0.05
    result = find(calibrate, replace(certify, logits=spoilt), guarantee=[f"error<={limit:.3f}"])
    assert (result.policy.rule, result.policy.note) == (FixedRule(exit=4), FINAL_ONLY)
    assert result.policy.promises[0].method == "exact binomial"
    assert result.policy.fell_back


def test_calibrate_decides_how_groups_are_tested(large):
    """Images of one group differ here, as they are drawn at random: with many, means are better."""
    calibrate, certify = (
        replace(data, groups=np.char.add(data.name, (np.arange(1500) // 6).astype(str)))
        for data in large
    )
    goal = {"guarantee": ["disagreement<=0.2", "accuracy_loss<=0.2"]}
    by_means = find(calibrate, certify, **goal).policy.promises
    assert {(promise.group_value, promise.method) for promise in by_means} == {("mean", "betting")}
    single = replace(calibrate, groups=np.arange(1500).astype(str))
    by_one = find(single, certify, **goal).policy.promises
    assert [(promise.group_value, promise.method) for promise in by_one] == [
        ("one image", "exact binomial"),
        ("one image", "exact trinomial"),
    ]
    assert {promise.images for promise in (*by_means, *by_one)} == {250}


def test_what_could_be_promised_of_several_risks_shares_out_delta(make_data):
    calibrate = make_data(4, images=300, seed=1)
    certify = make_data(4, images=300, seed=2, name="certify")
    bounds = {}
    for risks in (["error"], ["error", "error[class 1]"]):
        asked = [f"{risk}<={0.01 if risk == 'error' else 0.99}" for risk in risks]
        with pytest.raises(PolicyError) as refused:
            find(calibrate, certify, guarantee=asked)
        bounds[len(risks)] = float(re.search(r"promise error <= (0\.\d+)", str(refused.value))[1])
    wrong = (~certify.correct[-1]).astype(float)
    assert binomial_p_value(wrong, bounds[1]) <= 0.05 < binomial_p_value(wrong, bounds[1] - 0.001)
    assert binomial_p_value(wrong, bounds[2]) <= 0.025 < binomial_p_value(wrong, bounds[2] - 0.001)


def test_counting_images_is_noted_where_the_final_exit_alone_was_proven(make_data):
    calibrate = make_data(4, images=300, seed=1)
    certify = make_data(4, images=300, seed=2, name="certify")
    grouped = replace(certify, groups=np.arange(300) // 3)
    final = float((~certify.correct[-1]).mean())
    result = find(calibrate, grouped, guarantee=[f"error<={final + 0.05:.3f}"], unit="image")
    assert "300 certify images come from 100 groups" in result.policy.note
