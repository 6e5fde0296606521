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
    with pytest.raises(UsageError, match=r"rule: Input should be .*got nonsense"):
        RuleOptions(rule="nonsense")
    with pytest.raises(UsageError, match="thresholds: Input should be 'per-exit'"):
        RuleOptions().replaced(thresholds="each")
