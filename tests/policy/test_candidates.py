import numpy as np
import pytest

from endoexit.errors import UsageError
from endoexit.policy.candidates import RuleOptions, front_of, ladder
from endoexit.policy.table import ExitTable

COSTS = (0.3, 0.6, 0.8, 1.0)
ALL = [
    RuleOptions(),
    RuleOptions("entropy", candidates=8),
    RuleOptions("margin", thresholds="shared"),
    RuleOptions("max_probability", thresholds="geometric"),
    RuleOptions("patience"),
    RuleOptions("fixed"),
]


def front(data, options, temperatures=(1.0,) * 4):
    table = ExitTable(data, options.rule, temperatures, COSTS)
    right = data.correct.astype(np.float32)[None]
    found = front_of(table, options, right, lambda totals: totals[0] / data.num_images)
    return table, found


@pytest.mark.parametrize("options", ALL, ids=str)
def test_front_of_every_family(golden, options):
    data = golden("cal")
    temperatures = (0.5, 0.6, 0.7, 0.8)
    table, found = front(data, options, temperatures)
    assert (np.diff([candidate.cost for candidate in found]) > 0).all()
    assert (np.diff([candidate.score for candidate in found]) > 0).all()
    if options.rule == "patience":  # two must agree: nobody leaves before exit 2
        assert 0.6 <= found[0].cost < 0.7
    else:
        assert found[0].cost == pytest.approx(0.3)
    for candidate in found:
        assert candidate.policy.rule == options.rule
        assert candidate.policy.temperatures == temperatures
        seen = table.outcome(candidate.policy.assign(data.logits))
        assert (seen.cost, seen.accuracy) == pytest.approx((candidate.cost, candidate.score))


def test_shared_thresholds_are_shared_and_fixed_exits_are_those_that_pay(golden):
    data = golden("test")
    _, shared = front(data, RuleOptions("margin", thresholds="shared"))
    assert all(len(set(candidate.policy.thresholds)) == 1 for candidate in shared)
    _, fixed = front(data, RuleOptions("fixed"))
    accuracy = data.correct.mean(axis=1)
    paying = [k + 1 for k in range(4) if k == 0 or accuracy[k] > accuracy[:k].max()]
    assert [candidate.policy.exit for candidate in fixed] == paying


@pytest.mark.parametrize("options", ALL, ids=str)
def test_ladder_leads_from_dear_to_the_start(golden, options):
    table, found = front(golden("cal"), options)
    start = found[len(found) // 2]
    rungs = ladder(table, options, start, 5)
    costs = [table.outcome(table.exits(policy)).cost for policy in rungs]
    assert all(cost >= start.cost for cost in costs)
    assert (np.diff(costs) <= 0).all()
    if options.rule not in ("patience", "fixed"):
        assert len(rungs) == 5
    if options.thresholds == "shared":
        assert all(len(set(policy.thresholds)) == 1 for policy in rungs)


def test_ladder_by_hand(make_data):
    table = ExitTable(make_data(2, images=100, classes=2), "margin", (1.0, 1.0), (0.5, 1.0))
    values = np.sort(table.confidences[0])[::-1]
    _, found = (table, front_of(table, RuleOptions("margin"), np.ones((1, 2, 100), "f4"),
                                lambda totals: totals[0]))  # fmt: skip
    assert found[0].policy.thresholds == (0.0,)  # reached by all hundred
    rungs = ladder(table, RuleOptions("margin"), found[0], 3)
    assert [rung.thresholds for rung in rungs] == [(values[24],), (values[49],), (values[74],)]


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "patience", "candidates": 5},
        {"rule": "fixed", "thresholds": "shared"},
        {"rule": "margin", "thresholds": "geometric", "candidates": 5},
    ],
)
def test_options_without_effect_are_refused(options):
    with pytest.raises(UsageError, match="leave"):
        RuleOptions(**options)
