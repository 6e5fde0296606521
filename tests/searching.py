"""A search on a cohort, with costs in milliseconds, and the families of rules that it tries."""

from endoexit.policy.document import Costs
from endoexit.policy.goal_options import make_goal
from endoexit.policy.options import RuleOptions
from endoexit.policy.search import find_policy

COSTS = Costs(values=(10.0, 20.0, 30.0, 40.0), unit="ms", source="stopwatch")


def names(data):
    return tuple(f"class {c}" for c in range(data.num_classes))


def find(data, certify=None, options=None, **goal):
    return find_policy(
        make_goal(**goal),
        calibrate=data,
        certify=certify,
        costs=COSTS,
        classes=names(data),
        options=options or RuleOptions(),
    )


FAMILIES = [
    RuleOptions(),
    RuleOptions(rule="entropy", candidates=12, temperature_scaling=False),
    RuleOptions(rule="margin", thresholds="shared"),
    RuleOptions(thresholds="geometric"),
    RuleOptions(rule="patience"),
    RuleOptions(rule="fixed"),
]
