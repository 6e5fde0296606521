import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy.guarantee import (
    certify_sequence,
    measure_risk,
    require_enough,
    risk_score,
)
from endoexit.policy.logits import LogitSet
from endoexit.policy.pvalues import betting_p_value, binomial_p_value
from endoexit.policy.risks import loss_table, parse_risk
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.table import ExitTable
from endoexit.policy.trinomial import trinomial_p_value
from endoexit.policy.units import UnitLosses

CLASSES = ("normal", "polyp")


def certify_set(wrong_by_exit, images=200):
    """The final exit is always right; exit k is wrong on its first `wrong_by_exit[k]` images."""
    labels = np.arange(images) % 2
    answers = np.tile(labels, (len(wrong_by_exit) + 1, 1))
    for k, wrong in enumerate(wrong_by_exit):
        answers[k, :wrong] = 1 - answers[k, :wrong]
    return LogitSet("certify", np.eye(2)[answers], labels)


def run(data, sequence, risks, delta=0.05, groups=None):
    table = ExitTable(data, (1.0,) * data.num_exits, tuple(range(1, data.num_exits + 1)))
    units = [units_of(data, risk, groups) for risk in risks]
    return certify_sequence(sequence, table, units, delta)


def units_of(data, risk, groups=None, value="mean"):
    return UnitLosses(loss_table(parse_risk(risk), data, CLASSES), groups, value)


def test_the_last_that_passed_is_chosen_not_the_first_that_failed():
    # From safest (exit 4) to cheapest (exit 1): 0, 2, 30, 1 disagreements of 200.
    data = certify_set([1, 30, 2])
    sequence = [FixedRule(exit=k) for k in (4, 3, 2, 1)]
    certified = run(data, sequence, ["disagreement<=0.05"])
    assert [trial.passed for trial in certified.trials] == [True, True, False]
    assert certified.rule == FixedRule(exit=3)
    (promise,) = certified.promises
    assert (str(promise.risk), promise.delta) == ("disagreement<=0.05", 0.05)
    assert (promise.images, promise.observed, promise.unit) == (200, 0.01, "image")
    assert promise.p_value == binomial_p_value(np.repeat([1.0, 0.0], [2, 198]), 0.05)
    assert promise.method == "exact binomial"


def test_testing_stops_at_the_first_failure():
    # Exit 1 would pass, but comes after exit 2, which fails.
    certified = run(certify_set([0, 30]), [FixedRule(exit=2), FixedRule(exit=1)],
                    ["disagreement<=0.05"])  # fmt: skip
    assert certified.rule is None
    assert certified.promises == ()
    assert len(certified.trials) == 1


def test_all_pass():
    certified = run(certify_set([0, 0]), [FixedRule(exit=2), FixedRule(exit=1)],
                    ["disagreement<=0.05"])  # fmt: skip
    assert certified.rule == FixedRule(exit=1)


def test_several_risks_pass_only_together():
    # Six wrong of 400 are fine over all at 5 %, but three missed of 200 polyps are not at 2 %.
    data = certify_set([6], images=400)
    sequence = [FixedRule(exit=2), FixedRule(exit=1)]
    assert run(data, sequence, ["disagreement<=0.05"]).rule == FixedRule(exit=1)
    both = run(data, sequence, ["disagreement<=0.05", "missed[polyp]<=0.02"])
    assert both.rule == FixedRule(exit=2)
    p_values = [test.p_value for test in both.trials[1].tests]
    assert p_values[0] <= 0.05 < p_values[1]
    assert [(promise.risk.label, promise.images) for promise in both.promises] == [
        ("disagreement", 400),
        ("missed[polyp]", 200),
    ]


def test_accuracy_loss_has_the_exact_test_of_losses_and_gains():
    data = certify_set([6], images=400)
    certified = run(data, [FixedRule(exit=1)], ["accuracy_loss<=0.05"])
    (promise,) = certified.promises
    assert promise.method == "exact trinomial"
    assert promise.p_value == trinomial_p_value(np.repeat([1.0, 0.0], [6, 394]), 0.05)


def test_groups_count_once_with_their_mean():
    data = certify_set([5], images=300)
    groups = np.arange(300) // 3  # images 0-2 and half of the next group are wrong
    exits = np.ones(300, dtype=int)
    test = measure_risk(units_of(data, "disagreement<=0.1", groups), exits)
    expected = np.zeros(100)
    expected[:2] = 1.0, 2 / 3
    assert (test.images, test.method) == (100, "betting")
    assert test.observed == pytest.approx(expected.mean())
    assert test.p_value == pytest.approx(betting_p_value(expected, 0.1))
    certified = run(data, [FixedRule(exit=1)], ["disagreement<=0.1"], groups=groups)
    assert (certified.promises[0].unit, certified.promises[0].group_value) == ("group", "mean")


def test_one_image_of_each_group_is_tested_exactly():
    data = certify_set([6], images=300)
    groups = np.arange(300) // 3  # all images of the first two groups are wrong
    units = units_of(data, "disagreement<=0.1", groups, "one image")
    test = measure_risk(units, np.ones(300, dtype=int))
    assert (test.images, test.observed, test.method) == (100, 0.02, "exact binomial")
    assert test.p_value == binomial_p_value(np.repeat([1.0, 0.0], [2, 98]), 0.1)


def test_too_small_says_how_many_would_do():
    data = certify_set([0], images=148)
    risks = [units_of(data, "disagreement<=0.02")]
    message = r"certify has 148 images, too few to promise disagreement<=0\.02 .*at least 149 "
    with pytest.raises(PolicyError, match=message) as error:
        require_enough(risks, 0.05)
    assert "Give certify more images" in str(error.value)
    require_enough(risks, 0.06)
    polyps = [units_of(certify_set([0], 200), "missed[polyp]<=0.02")]
    with pytest.raises(PolicyError, match=r"100 images of class 'polyp', .*at least 149"):
        require_enough(polyps, 0.05)
    with pytest.raises(PolicyError, match="certify has 50 groups"):
        require_enough([units_of(data, "disagreement<=0.02", np.arange(148) % 50)], 0.06)


def test_score_is_the_least_slack_in_standard_errors():
    tables = [loss_table(parse_risk(text), certify_set([6], images=400), CLASSES)
              for text in ("disagreement<=0.05", "missed[polyp]<=0.02")]  # fmt: skip
    values, score = risk_score(tables)
    assert values.shape == (2, 2, 400)
    slack = [
        (0.05 - 6 / 400) / np.sqrt(0.05 * 0.95 / 400),
        (0.02 - 3 / 200) / np.sqrt(0.02 * 0.98 / 200),
    ]
    assert score(np.array([6.0, 3.0])) == pytest.approx(min(slack))
    many = score(np.array([[[6.0, 0.0]], [[3.0, 0.0]]]))
    assert many.shape == (1, 2)
    assert many[0, 1] > many[0, 0] == pytest.approx(min(slack))


def test_every_rule_is_tested_at_the_exits_that_it_gives(make_data):
    data = make_data(3, images=300, classes=2, name="certify")
    table = ExitTable(data, (1.0,) * 3, (1.0, 2.0, 3.0))
    rules = [ThresholdRule(kind="margin", thresholds=(t, t)) for t in (None, 0.9, 0.5)]
    certified = certify_sequence(rules, table, [units_of(data, "disagreement<=0.5")], 0.05)
    for trial in certified.trials:
        exits = trial.rule.assign(data.logits, table.temperatures)
        observed = data.predictions[exits - 1, np.arange(300)] != data.predictions[-1]
        assert trial.tests[0].observed == observed.mean()
