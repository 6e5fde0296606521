"""Goals as records: what they refuse, and which of them are about time."""

import pytest

from endoexit.errors import UsageError
from endoexit.policy.goal_options import make_goal
from endoexit.policy.goals import Anytime, CostLimit, Guarantee, probability_words
from endoexit.policy.risks import Risk


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


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (1.0, "would refer every image: allow less"),
        (0.0, "between 0 and 1, got 0"),
        (-0.1, r"between 0 and 1, got -0\.1"),
        (20.0, r"got 20: 0\.2 means 20 %"),
        (float("nan"), "between 0 and 1, got nan"),
    ],
)
def test_a_referral_out_of_range_is_refused(share, message):
    risks = (Risk(name="error", tolerance=0.02),)
    with pytest.raises(UsageError, match=message):
        Guarantee(risks=risks, max_referral=share)


def test_referral_goes_with_risks_against_the_labels():
    risks = (Risk(name="disagreement", tolerance=0.02),)
    with pytest.raises(UsageError, match="ask for error, sensitivity or specificity"):
        Guarantee(risks=risks, max_referral=0.2)


def test_a_guarantee_without_referral_does_not_mention_it():
    goal = Guarantee(risks=(Risk(name="error", tolerance=0.02),))
    assert "max_referral" not in goal.model_dump_json()
    assert "max_referral" not in goal.options()
    asked = goal.replaced(max_referral=0.2)
    assert str(asked) == (
        "error<=0.02 among the answered, at most 0.2 referred, with probability 0.95"
    )


@pytest.mark.parametrize(("delta", "words"), [(0.05, "0.95"), (0.1, "0.9"), (1e-9, "0.999999999")])
def test_no_promise_is_certain(delta, words):
    assert probability_words(delta) == words
    assert str(make_goal(guarantee=["error<=0.1"], delta=delta)).endswith(f"probability {words}")
