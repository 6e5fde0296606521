import numpy as np
import pytest

from endoexit.errors import PolicyError, UsageError
from endoexit.policy import ExitPolicy
from endoexit.policy.document import Costs
from endoexit.policy.goal_options import make_goal
from endoexit.policy.held_out import accuracy_front, held_out_exits, safer_rules
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.search import UNPROVEN, find_policy
from endoexit.policy.table import ExitTable
from endoexit.policy.temperature import fit_temperatures
from searching import COSTS, FAMILIES, find


@pytest.fixture
def large(make_data):
    """Calibrate and certify cohorts large enough for guarantees."""
    return make_data(4, images=1500, seed=1), make_data(4, images=1500, seed=2, name="certify")


@pytest.mark.parametrize("options", FAMILIES, ids=str)
@pytest.mark.parametrize("goal", [{"max_ms": 25}, {"mean_exit_cost": 0.625}])
def test_best_accuracy_under_a_cost(golden, options, goal):
    data = golden("cal")
    result = find(data, options=options, **goal)
    policy = result.policy
    affordable = [point for point in policy.front if point.cost <= 25]
    assert result.expected.cost <= 25
    assert result.expected.accuracy == max(point.accuracy for point in affordable)
    exits = policy.assign(data.logits)
    assert np.mean(np.array(COSTS.values)[exits - 1]) == pytest.approx(result.expected.cost)
    assert (policy.note, policy.promises, policy.costs) == (UNPROVEN, (), COSTS)
    scaled = fit_temperatures(data) if options.temperature_scaling else (1.0,) * 4
    assert policy.temperatures == scaled
    assert [exit.temperature for exit in result.calibration] == list(scaled)
    assert ExitPolicy.from_json(policy.to_json()) == policy


def test_least_cost_for_an_accuracy(golden):
    data = golden("cal")
    for goal, floor in (
        ({"max_accuracy_drop": 0.01}, data.final_accuracy - 0.01),
        ({"min_accuracy": data.final_accuracy - 0.03}, data.final_accuracy - 0.03),
    ):
        result = find(data, **goal)
        assert result.expected.accuracy >= floor
        table = ExitTable(data, result.policy.temperatures, COSTS.values)
        front = accuracy_front(table, RuleOptions())
        safer = safer_rules(table, RuleOptions(), front)
        assert [point.rule for point in result.policy.front] == [each.rule for each in front]
        rules = [*(point.rule for point in front), *safer]
        held_out = held_out_exits(table, RuleOptions(), front, safer)
        meets = [
            place
            for place, rule in enumerate(rules)
            if table.outcome(rule.exits(table)).accuracy >= floor
            and table.outcome(held_out[place]).accuracy >= floor
        ]
        assert result.policy.rule == rules[meets[0]]
        assert result.expected == table.outcome(held_out[meets[0]])


def test_budget_uses_geometric_thresholds(golden):
    result = find(golden("cal"), budget="1000 images, 25 seconds")
    assert 24 < result.expected.cost <= 25
    assert result.policy.note == UNPROVEN
    for options in (RuleOptions(rule="patience"), RuleOptions(thresholds="shared")):
        with pytest.raises(UsageError, match="geometric thresholds on a confidence"):
            find(golden("cal"), options=options, budget="1000 images, 25 seconds")


def test_anytime_states_its_deadline(golden):
    data = golden("cal")
    result = find(data, deadline_ms=25)
    assert result.policy.deadline_ms == 25
    assert result.policy.rule == FixedRule(exit=4)
    assert result.policy.temperatures == fit_temperatures(data)
    with pytest.raises(UsageError, match="the clock decides"):
        find(data, options=RuleOptions(rule="margin"), deadline_ms=25)


def test_refusals(large, make_data):
    calibrate, certify = large
    goal = {"guarantee": ["disagreement<=0.02"]}
    with pytest.raises(PolicyError, match=r"needs a certify role.*endoexit split"):
        find(calibrate, **goal)
    with pytest.raises(PolicyError, match="1500 images of certify have the very logits"):
        find(calibrate, calibrate, **goal)
    with pytest.raises(PolicyError, match="certify has 100 images, too few"):
        find(calibrate, make_data(4, images=100, name="certify", seed=9), **goal)
    with pytest.raises(UsageError, match="did you mean 'class 1'"):
        find(calibrate, certify, guarantee=["missed[clas 1]<=0.02"])
    with pytest.raises(PolicyError, match="4 costs for 3 exits"):
        find(make_data(3), max_ms=20)
    with pytest.raises(PolicyError, match="one exit, so there is nothing to choose"):
        find_policy(make_goal(max_ms=2), calibrate=make_data(1), classes=("a", "b", "c"),
                    costs=Costs(values=(1.0,), unit="ms", source="x"))  # fmt: skip
    with pytest.raises(PolicyError, match="2 class names for logits of 3 classes"):
        find_policy(make_goal(max_ms=2), calibrate=calibrate, costs=COSTS, classes=("a", "b"))
    with pytest.raises(PolicyError, match=r"the cheapest costs 10 .*Allow more"):
        find(calibrate, max_ms=5)


def test_relabelling_classes_changes_nothing(golden):
    data = golden("cal")
    order = np.random.default_rng(5).permutation(data.num_classes)
    renamed = LogitSet("calibrate", data.logits[..., order], np.argsort(order)[data.labels])
    for goal in ({"max_ms": 25}, {"max_accuracy_drop": 0.01}):
        first, second = find(data, **goal), find(renamed, **goal)
        assert np.array_equal(
            first.policy.assign(data.logits), second.policy.assign(renamed.logits)
        )
        assert first.expected == second.expected


def test_a_distance_that_was_asked_for_and_not_given_is_refused(make_data):
    data, options = make_data(4), RuleOptions(refer_unlike=0.1, unlike_by="mahalanobis")
    with pytest.raises(UsageError, match=r"pass it as `distance`, or take unlike_by=\"energy\""):
        find(data, options=options, mean_exit_cost=0.5)
