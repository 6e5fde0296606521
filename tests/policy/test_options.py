import pytest

from endoexit.errors import UsageError
from endoexit.policy.options import RuleOptions


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "patience", "candidates": 5},
        {"rule": "fixed", "thresholds": "shared"},
        {"rule": "margin", "thresholds": "geometric", "candidates": 5},
    ],
)
def test_options_without_effect_are_refused(options):
    with pytest.raises(UsageError, match="omit"):
        RuleOptions(**options)


def test_unknown_names_are_refused_also_when_replaced():
    with pytest.raises(UsageError, match=r"unknown rule 'nonsense': known: eenet, "):
        RuleOptions(rule="nonsense")
    with pytest.raises(UsageError, match="thresholds: Input should be 'per-exit'"):
        RuleOptions().replaced(thresholds="each")


@pytest.mark.parametrize(
    ("share", "message"),
    [(1.0, "would refer every image"), (0.0, "got 0"), (5.0, "0.05 means 5 %")],
)
def test_a_share_of_unlike_images_out_of_range_is_refused(share, message):
    with pytest.raises(UsageError, match=message):
        RuleOptions(refer_unlike=share)


def test_options_without_referral_do_not_mention_it():
    assert "refer_unlike" not in RuleOptions().model_dump_json()
