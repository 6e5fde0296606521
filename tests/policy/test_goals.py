"""Goals as records: what they refuse, and which of them are about time."""

import pytest

from endoexit.errors import UsageError
from endoexit.policy.goal_options import make_goal
from endoexit.policy.goals import Anytime, CostLimit, Guarantee


def test_goals_about_time():
    timed = [make_goal(max_ms=3), make_goal(budget="2 images, 1 second")]
    assert all(goal.about_time for goal in timed)
    for options in ({"max_macs": 1e9}, {"mean_exit_cost": 0.5}, {"min_accuracy": 0.5},
                    {"max_accuracy_drop": 0.1}, {"guarantee": ["disagreement<=0.1"]},
                    {"deadline_ms": 20}):  # fmt: skip
        assert not make_goal(**options).about_time


def test_wrong_types_and_unknown_fields_are_usage_errors():
    with pytest.raises(UsageError, match=r"not a valid CostLimit: unit: Input should be 'ms'"):
        CostLimit(limit=3, unit="hours")
    with pytest.raises(UsageError, match="extra: Extra inputs"):
        Anytime(deadline_ms=3, extra=1)
    with pytest.raises(UsageError, match="needs a risk"):
        Guarantee(risks=())
