import pytest

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.document import Costs, FrontPoint
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Anytime,
    Budget,
    CostLimit,
    Guarantee,
    choose,
    goal_options,
    limit_in,
    make_goal,
)
from endoexit.policy.risks import Risk

COSTS = Costs(values=(10.0, 20.0, 40.0), unit="ms", source="stopwatch")
FRONT = tuple(
    FrontPoint(thresholds=(0.5, 0.5), cost=cost, score=accuracy, accuracy=accuracy,
               exit_shares=(1.0, 0.0, 0.0))
    for cost, accuracy in ((10.0, 0.7), (16.0, 0.8), (25.0, 0.85), (32.0, 0.9))
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "goal", "words"),
    [
        ({"max_ms": 30}, CostLimit(30, "ms"), "mean cost <= 30 milliseconds"),
        ({"max_macs": 4e9}, CostLimit(4e9, "macs"), "mean cost <= 4e+09 multiply-adds"),
        ({"mean_exit_cost": 0.4}, CostLimit(0.4, "relative"), "<= 0.4 of the whole network"),
        ({"min_accuracy": 0.88}, AccuracyFloor(0.88), "accuracy >= 0.88"),
        ({"max_accuracy_drop": 0.01}, AccuracyDrop(0.01), "accuracy >= final exit - 0.01"),
        ({"budget": "1000 images, 60 seconds"}, Budget(1000, 60.0), "1000 images in 60 s"),
        ({"budget": "1 image in 0.5s"}, Budget(1, 0.5), "1 images in 0.5 s"),
        ({"deadline_ms": 25}, Anytime(25), "the last exit within 25 ms"),
        (
            {"guarantee": ["disagreement<=0.02", "missed[polyp]<=0.01"], "delta": 0.1},
            Guarantee((Risk("disagreement", 0.02), Risk("missed", 0.01, "polyp")), 0.1, "auto"),
            "disagreement<=0.02 and missed[polyp]<=0.01 with probability 0.9",
        ),
        (
            {"guarantee": ["accuracy_loss<=0.01"], "unit": "group"},
            Guarantee((Risk("accuracy_loss", 0.01),), 0.05, "group"),
            "with probability 0.95",
        ),
    ],
)
def test_options_become_a_goal(options, goal, words):
    assert make_goal(**options) == goal
    assert make_goal(**goal_options(goal)) == goal, "a goal can be asked for again"
    assert words in str(goal)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "ask for one goal of max-ms.*got none"),
        ({"max_ms": 3, "min_accuracy": 0.5}, "got max-ms, min-accuracy"),
        ({"max_ms": 3, "delta": 0.1}, "delta and unit belong to a guarantee"),
        ({"max_ms": 0}, r"milliseconds\) must be a positive number, got 0"),
        ({"max_macs": float("nan")}, "positive number, got nan"),
        ({"mean_exit_cost": float("inf")}, "positive number"),
        ({"min_accuracy": 88}, r"between 0 and 1, got 88 \(0\.88 means 88 %\)"),
        ({"max_accuracy_drop": -0.1}, "between 0 and 1"),
        ({"max_accuracy_drop": 1}, "allows any loss: one point is 0.01"),
        (
            {"mean_exit_cost": 60},
            r"share of the whole network, at most 1, got 60 \(0\.6 m",
        ),
        ({"budget": "a lot"}, 'write "1000 images, 60 seconds"'),
        ({"budget": "0 images, 60 seconds"}, "number of images must be a positive"),
        ({"deadline_ms": -1}, "deadline must be a positive"),
        ({"guarantee": ["disagreement<=0.1"], "delta": 1.0}, "delta must lie between 0 and 1"),
        (
            {"guarantee": ["disagreement<=0.1", "disagreement<=0.2"]},
            "names a risk twice: disagreement, disagreement",
        ),
    ],
)
def test_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        make_goal(**options)


def test_limits_in_the_unit_of_the_costs():
    assert limit_in(CostLimit(30, "ms"), COSTS) == 30
    assert limit_in(CostLimit(0.5, "relative"), COSTS) == 20
    assert limit_in(Budget(1000, 30), COSTS) == 30
    macs = Costs(values=(1e9, 2e9), unit="macs", source="formula")
    for goal in (CostLimit(30, "ms"), Budget(10, 1)):
        with pytest.raises(PolicyError, match=r"needs costs in milliseconds.*formula.*evaluate"):
            limit_in(goal, macs)


@pytest.mark.parametrize(
    ("goal", "index"),
    [
        (CostLimit(25, "ms"), 2),
        (CostLimit(24.9, "ms"), 1),
        (CostLimit(0.25, "relative"), 0),
        (CostLimit(500, "ms"), 3),
        (AccuracyFloor(0.8), 1),
        (AccuracyFloor(0.81), 2),
        (AccuracyFloor(0.0), 0),
        (AccuracyDrop(0.0), 3),
        (AccuracyDrop(0.03), 2),
        (AccuracyDrop(0.2), 0),
    ],
)
def test_choice_on_a_front_by_hand(goal, index):
    assert choose(goal, FRONT, COSTS, final_accuracy=0.88) == index


def test_a_goal_that_nothing_meets_says_what_can_be_had():
    with pytest.raises(PolicyError, match=r"the cheapest costs 10 \(milliseconds\)\. Allow more"):
        choose(CostLimit(9, "ms"), FRONT, COSTS, 0.88)
    with pytest.raises(PolicyError, match=r"the best reaches 0\.9000 .*Ask for less"):
        choose(AccuracyFloor(0.95), FRONT, COSTS, 0.88)
