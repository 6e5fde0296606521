import pytest

from endoexit.errors import PolicyError
from endoexit.policy.choice import choose, limit_in
from endoexit.policy.document import Costs, FrontPoint
from endoexit.policy.goals import AccuracyDrop, AccuracyFloor, Budget, CostLimit
from endoexit.policy.rules.threshold import ThresholdRule

COSTS = Costs(values=(10.0, 20.0, 40.0), unit="ms", source="stopwatch")
FRONT = tuple(
    FrontPoint(
        rule=ThresholdRule(kind="margin", thresholds=(0.5, 0.5)),
        cost=cost,
        score=accuracy,
        accuracy=accuracy,
        exit_shares=(1.0, 0.0, 0.0),
    )
    for cost, accuracy in ((10.0, 0.7), (16.0, 0.8), (25.0, 0.85), (32.0, 0.9))
)


def test_limits_in_the_unit_of_the_costs():
    assert limit_in(CostLimit(limit=30, unit="ms"), COSTS) == 30
    assert limit_in(CostLimit(limit=0.5, unit="relative"), COSTS) == 20
    assert limit_in(Budget(images=1000, seconds=30), COSTS) == 30
    macs = Costs(values=(1e9, 2e9), unit="macs", source="formula")
    for goal in (CostLimit(limit=30, unit="ms"), Budget(images=10, seconds=1)):
        with pytest.raises(PolicyError, match=r"needs costs in milliseconds.*formula.*evaluate"):
            limit_in(goal, macs)


@pytest.mark.parametrize(
    ("goal", "index"),
    [
        (CostLimit(limit=25, unit="ms"), 2),
        (CostLimit(limit=24.9, unit="ms"), 1),
        (CostLimit(limit=0.25, unit="relative"), 0),
        (CostLimit(limit=500, unit="ms"), 3),
        (AccuracyFloor(accuracy=0.8), 1),
        (AccuracyFloor(accuracy=0.81), 2),
        (AccuracyFloor(accuracy=0.0), 0),
        (AccuracyDrop(drop=0.0), 3),
        (AccuracyDrop(drop=0.03), 2),
        (AccuracyDrop(drop=0.2), 0),
    ],
)
def test_choice_on_a_front_by_hand(goal, index):
    assert choose(goal, FRONT, COSTS, final_accuracy=0.88) == index


def test_a_goal_that_nothing_meets_says_what_can_be_had():
    with pytest.raises(PolicyError, match=r"the cheapest costs 10 \(milliseconds\)\. Allow more"):
        choose(CostLimit(limit=9, unit="ms"), FRONT, COSTS, 0.88)
    with pytest.raises(PolicyError, match=r"the best reaches 0\.9000 .*Ask for less"):
        choose(AccuracyFloor(accuracy=0.95), FRONT, COSTS, 0.88)
