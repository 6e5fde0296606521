import pytest
from pydantic import TypeAdapter

from endoexit.errors import UsageError
from endoexit.policy.goal_options import make_goal
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Anytime,
    Budget,
    CostLimit,
    Goal,
    Guarantee,
)
from endoexit.policy.risks import Risk


@pytest.mark.parametrize(
    ("options", "goal", "words"),
    [
        ({"max_ms": 30}, CostLimit(limit=30, unit="ms"), "mean cost <= 30 milliseconds"),
        ({"max_macs": 4e9}, CostLimit(limit=4e9, unit="macs"), "mean cost <= 4e+09 multiply-adds"),
        (
            {"mean_exit_cost": 0.4},
            CostLimit(limit=0.4, unit="relative"),
            "<= 0.4 of the whole network",
        ),
        ({"min_accuracy": 0.88}, AccuracyFloor(accuracy=0.88), "accuracy >= 0.88"),
        ({"max_accuracy_drop": 0.01}, AccuracyDrop(drop=0.01), "accuracy >= final exit - 0.01"),
        (
            {"budget": "1000 images, 60 seconds"},
            Budget(images=1000, seconds=60.0),
            "1000 images in 60 s",
        ),
        ({"budget": "1 image in 0.5s"}, Budget(images=1, seconds=0.5), "1 images in 0.5 s"),
        ({"deadline_ms": 25}, Anytime(deadline_ms=25), "the last exit within 25 ms"),
        (
            {"guarantee": ["disagreement<=0.02", "missed[polyp]<=0.01"], "delta": 0.1},
            Guarantee(
                risks=(
                    Risk(name="disagreement", tolerance=0.02),
                    Risk(name="missed", tolerance=0.01, of_class="polyp"),
                ),
                delta=0.1,
            ),
            "disagreement<=0.02 and missed[polyp]<=0.01 with probability 0.9",
        ),
        (
            {"guarantee": ["accuracy_loss<=0.01"], "unit": "group"},
            Guarantee(risks=(Risk(name="accuracy_loss", tolerance=0.01),), unit="group"),
            "with probability 0.95",
        ),
    ],
)
def test_options_become_a_goal(options, goal, words):
    assert make_goal(**options) == goal
    assert make_goal(**goal.options()) == goal, "a goal can be asked for again"
    stored = TypeAdapter(Goal)
    assert stored.validate_json(stored.dump_json(goal)) == goal
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


def test_referral_needs_a_guarantee():
    with pytest.raises(UsageError, match="max-referral belongs to a guarantee"):
        make_goal(min_accuracy=0.9, max_referral=0.2)
    goal = make_goal(guarantee=["error<=0.02"], max_referral=0.2)
    assert goal.max_referral == 0.2
    assert make_goal(**goal.options()) == goal
