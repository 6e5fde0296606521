import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from endoexit.policy import ExitPolicy
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.patience import PatienceRule
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.table import ExitTable
from learned_gates import KINDS, drawn_gates

COSTS = (0.3, 0.6, 0.8, 1.0)
FAMILIES = [
    RuleOptions(),
    RuleOptions(rule="entropy", candidates=8),
    RuleOptions(rule="margin", thresholds="shared"),
    RuleOptions(rule="max_probability", thresholds="geometric"),
    RuleOptions(rule="patience"),
    RuleOptions(rule="fixed"),
    *(RuleOptions(rule=kind) for kind in KINDS),
]
threshold = st.none() | st.floats(0, 1)
rules = st.one_of(
    st.builds(
        ThresholdRule,
        kind=st.sampled_from(["max_probability", "entropy", "margin"]),
        thresholds=st.tuples(threshold, threshold, threshold),
    ),
    st.builds(PatienceRule, patience=st.integers(2, 4)),
    st.builds(FixedRule, exit=st.integers(1, 4)),
)


def front(data, options, temperatures=(1.0,) * 4):
    table = ExitTable(data, temperatures, COSTS)
    right = data.correct.astype(np.float32)[None]
    candidates = RULES[options.rule].front(
        table, options, right, lambda totals: totals[0] / data.num_images
    )
    return table, candidates


@given(
    hnp.arrays(np.float32, (4, 7, 3), elements=st.floats(-9, 9, width=32)),
    st.lists(rules | drawn_gates(4, 3), min_size=1, max_size=3),
    st.tuples(*[st.floats(0.1, 5)] * 4),
)
def test_every_rule_decides_image_by_image_as_its_table_does(logits, several, temperatures):
    table = ExitTable(LogitSet("val", logits, np.zeros(7, np.int64)), temperatures, COSTS)
    labels = logits.argmax(axis=2)
    for rule in several:  # several on one table: what is kept for one must serve the next
        policy = ExitPolicy(rule=rule, num_exits=4, temperatures=temperatures)
        exits = rule.exits(table)
        assert np.array_equal(exits, policy.assign(logits))
        for image, last in enumerate(exits):
            alone = slice(image, image + 1)
            gates = np.empty((1, 4))
            for k in range(1, last + 1):
                scores, previous = logits[k - 1, alone], labels[: k - 1, alone].T
                value = policy.gate(k, scores, previous, gates[:, : k - 1])
                if value is not None:
                    gates[:, k - 1] = value
                exiting = policy.leaves(k, scores, previous, gates[:, :k])
                assert exiting.tolist() == [k == last]


@pytest.mark.parametrize("role", ["val", "test"])
@given(rule=rules)
def test_the_table_agrees_on_real_logits(golden, role, rule):
    data, temperatures = golden(role), (0.4, 0.6, 1.3, 1.0)
    table = ExitTable(data, temperatures, COSTS)
    assert np.array_equal(rule.exits(table), rule.assign(data.logits, temperatures))


@pytest.mark.parametrize("options", FAMILIES, ids=str)
def test_front_of_every_family(golden, options):
    data, temperatures = golden("cal"), (0.5, 0.6, 0.7, 0.8)
    table, candidates = front(data, options, temperatures)
    assert (np.diff([candidate.cost for candidate in candidates]) > 0).all()
    assert (np.diff([candidate.score for candidate in candidates]) > 0).all()
    if options.rule == "patience":  # two must agree: no image exits before exit 2
        assert 0.6 <= candidates[0].cost < 0.7
    else:
        assert candidates[0].cost == pytest.approx(0.3)
    for candidate in candidates:
        assert candidate.rule.kind == options.rule
        expected = table.outcome(candidate.exits(table))
        if candidate.crossed is None:
            exits = candidate.rule.assign(data.logits, temperatures)
            assert np.array_equal(candidate.exits(table), exits)
        assert (expected.cost, expected.accuracy) == pytest.approx(
            (candidate.cost, candidate.score)
        )


@pytest.mark.parametrize("options", FAMILIES, ids=str)
def test_ladder_leads_from_dear_to_the_start(golden, options):
    table, candidates = front(golden("cal"), options)
    start = candidates[len(candidates) // 2]
    rungs = RULES[options.rule].ladder(table, options, start, 5)
    costs = [table.outcome(rule.exits(table)).cost for rule in rungs]
    assert all(cost >= start.cost for cost in costs)
    assert (np.diff(costs) <= 0).all()
    if options.rule not in ("patience", "fixed"):
        assert len(rungs) == 5
    if options.thresholds == "shared":
        assert all(len(set(rule.thresholds)) == 1 for rule in rungs)
