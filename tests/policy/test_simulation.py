import numpy as np
import pytest

from endoexit.policy import ExitPolicy, fixed_exit, patience_policy
from endoexit.policy.goals import Guarantee
from endoexit.policy.risks import Risk, loss_table
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.simulation import CLASSES, RISK_CLASSES, SimulatedExits, repeat_guarantee
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
    assert set(truth.risks.values()) == {0.0}


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


@pytest.mark.parametrize("risk", RISK_CLASSES)
def test_the_guarantee_holds_and_saves_on_a_small_scale(risk):
    """The benchmark does this with 2000 repetitions, three sizes and two deltas."""
    goal = Guarantee(
        risks=(Risk(name=risk, tolerance=0.05, of_class=RISK_CLASSES[risk]),), delta=0.1
    )
    seen = repeat_guarantee(NETWORK, goal, images=400, repetitions=100, seed=1)
    assert seen.allowed == pytest.approx(0.1 + 3 * 0.03)
    assert seen.violations <= seen.allowed
    assert seen.naive_violations > 0.4  # what the certify role is for
    assert seen.saving >= 0.75 * seen.best_saving
    assert seen.fallbacks == 0.0


def test_too_few_images_fall_back_instead_of_promising():
    goal = Guarantee(risks=(Risk(name="disagreement", tolerance=0.03),), delta=0.05)
    seen = repeat_guarantee(NETWORK, goal, images=100, repetitions=20, seed=1)
    assert seen.violations == 0.0
    assert seen.saving < 0.9 * seen.best_saving
