import numpy as np
import pytest

from endoexit.policy import ExitPolicy, fixed_exit, patience_policy
from endoexit.policy.coverage import coverage
from endoexit.policy.referral import Referral, Unlike, Unsure
from endoexit.policy.risks import ABSOLUTE, Risk, loss_table
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.simulation import CLASSES, RISK_CLASSES, GroupDesign, SimulatedExits
from endoexit.policy.table import outcome

NETWORK = SimulatedExits()
POLICY = ExitPolicy(
    rule=ThresholdRule(kind="max_probability", thresholds=(0.9, 0.7)),
    num_exits=3,
    temperatures=(1.3, 0.8, 1.0),
)


def test_truth_is_what_many_images_show():
    images = 200_000
    data = NETWORK.draw(images, np.random.default_rng(0), "certify")
    for policy in (POLICY, fixed_exit(3, 2), fixed_exit(3, 3)):
        truth = NETWORK.truth(policy)
        exits = policy.assign(data.logits)
        assert outcome(data, exits, NETWORK.costs).cost == pytest.approx(truth.cost, abs=0.003)
        for name, of_class in RISK_CLASSES.items():
            losses = loss_table(
                Risk(name=name, tolerance=0.1, of_class=of_class), data, CLASSES
            ).of(exits)
            assert losses.mean() == pytest.approx(truth.risks[name], abs=0.003)


def test_other_rules_have_no_exact_truth():
    with pytest.raises(ValueError, match="not patience"):
        NETWORK.truth(patience_policy(3, 2))


def test_the_final_exit_costs_all_and_loses_nothing():
    truth = NETWORK.truth(fixed_exit(3, 3))
    assert truth.cost == 1.0
    assert {float(truth.risks[name]) for name in RISK_CLASSES if name not in ABSOLUTE} == {0}


def test_best_cost_is_reached_and_not_beaten():
    best = NETWORK.best_cost("disagreement", 0.05, steps=60)
    generator = np.random.default_rng(0)
    reached = []
    for first, second in generator.uniform(0.5, 1.0, size=(2000, 2)):
        policy = POLICY.replaced(
            rule=ThresholdRule(kind="max_probability", thresholds=(first, second)),
            temperatures=(1.0, 1.0, 1.0),
        )
        truth = NETWORK.truth(policy)
        if truth.risks["disagreement"] <= 0.05:
            reached.append(float(truth.cost))
    assert best == pytest.approx(min(reached), abs=0.01)
    costs = [NETWORK.best_cost("disagreement", limit, steps=20) for limit in (1e-12, 0.01, 0.1)]
    assert 1.0 >= costs[0] > costs[1] > costs[2] > 0.3


def test_images_of_a_group_are_alike_and_each_is_as_any_other():
    design = GroupDesign("pairs", (2,), likeness=0.9)
    data = NETWORK.draw(100_000, np.random.default_rng(0), "certify", design)
    first, second = data.logits[..., 1][:, ::2], data.logits[..., 1][:, 1::2]
    assert (data.groups[::2] == data.groups[1::2]).all()
    assert len(np.unique(data.groups)) == 100_000
    assert (data.labels[::2] == data.labels[1::2]).all()
    spread = np.asarray(NETWORK.deviations) / 2  # of half a margin
    differences = (first - second).std(axis=1)
    np.testing.assert_allclose(differences, spread * np.sqrt(2 * 0.1), rtol=0.02)
    shown = loss_table(Risk(name="disagreement", tolerance=0.1), data, CLASSES)
    truth = NETWORK.truth(POLICY).risks["disagreement"]
    assert shown.of(POLICY.assign(data.logits)).mean() == pytest.approx(truth, abs=0.003)


def test_sizes_of_groups_are_those_of_the_design():
    design = GroupDesign("some", (1, 1, 4), likeness=0.5)
    data = NETWORK.draw(3000, np.random.default_rng(0), "certify", design)
    sizes = np.unique(data.groups, return_counts=True)[1]
    assert set(sizes) == {1, 4}
    assert (sizes == 4).mean() == pytest.approx(1 / 3, abs=0.03)
    assert NETWORK.draw(5, np.random.default_rng(0), "certify").groups is None


def test_the_truth_of_the_answered_is_what_many_images_show():
    policy = POLICY.replaced(referral=Referral(unsure=Unsure(threshold=0.6)))
    data = NETWORK.draw(300_000, np.random.default_rng(0), "certify")
    exits = policy.assign(data.logits)
    seen = coverage(data, exits, policy.referred(data.logits, exits))
    truth = NETWORK.truth(policy)
    assert 1 - seen.coverage == pytest.approx(truth.referred, abs=0.003)
    assert seen.risk == pytest.approx(float(truth.risks["error"]), abs=0.001)
    assert truth.risks["error"] < 0.9 * NETWORK.truth(POLICY).risks["error"]
    unlike = Referral(unlike=Unlike(thresholds=(0.0, 0.0, 0.0), share=0.1))
    unknown = POLICY.replaced(referral=unlike)
    with pytest.raises(ValueError, match="not for unlike"):
        NETWORK.truth(unknown)


def test_a_margin_of_1_is_one_that_rounds_to_it():
    """With a low temperature many margins are 1 in floating point, and reach the threshold 1."""
    policy = fixed_exit(3, 3).replaced(
        temperatures=(1.0, 1.0, 0.1), referral=Referral(unsure=Unsure(threshold=1.0))
    )
    data = NETWORK.draw(100_000, np.random.default_rng(0), "certify")
    exits = policy.assign(data.logits)
    seen = coverage(data, exits, policy.referred(data.logits, exits))
    assert 0.3 < seen.coverage < 0.9
    assert 1 - seen.coverage == pytest.approx(NETWORK.truth(policy).referred, abs=0.02)
