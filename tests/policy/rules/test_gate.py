import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy import ExitPolicy
from endoexit.policy.document import Costs, Provenance
from endoexit.policy.goal_options import make_goal
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.search import find_policy
from endoexit.policy.table import ExitTable
from learned_gates import GATES, KINDS, gate, lying

COSTS = Costs(values=(0.3, 0.6, 1.0), unit="relative", source="test")
CLASSES = ("a", "b", "c")


def policy_for(rule, data, costs=COSTS, certify=None, **goal):
    return find_policy(
        make_goal(**goal),
        calibrate=data,
        certify=certify,
        costs=costs,
        classes=CLASSES[: data.num_classes],
        options=RuleOptions(rule=rule),
    )


def seen(policy, data, costs=COSTS):
    return ExitTable(data, policy.temperatures, costs.values).outcome(policy.assign(data.logits))


@pytest.mark.parametrize("kind", KINDS)
def test_gates_beat_thresholds_where_confidence_lies(kind):
    calibrate, new = lying(600, seed=0), lying(2000, seed=1)
    plain = seen(policy_for("max_probability", calibrate, max_accuracy_drop=0.01).policy, new)
    result = policy_for(kind, calibrate, max_accuracy_drop=0.01)
    learned = seen(result.policy, new)
    assert learned.accuracy > plain.accuracy - 0.01
    assert learned.accuracy > 0.97
    assert learned.cost < plain.cost - 0.05
    assert result.expected.accuracy == pytest.approx(learned.accuracy, abs=0.02)
    assert result.expected.cost == pytest.approx(learned.cost, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_labels_give_no_gain(kind):
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(3, 300, 3)).astype(np.float32)
    data = LogitSet("calibrate", logits, generator.integers(3, size=300))
    table = ExitTable(data, (1.0,) * 3, COSTS.values)
    right = data.correct.astype(np.float32)[None]
    candidates = RULES[kind].front(
        table, RuleOptions(rule=kind), right, lambda totals: totals[0] / 300
    )
    by_exit = data.correct.mean(axis=1)
    # A third of the answers is right whatever is done: two standard errors are 0.055, about what
    # the best of many thresholds gains on noise.
    assert max(candidate.score for candidate in candidates) < by_exit.max() + 0.06
    merits = data.correct.astype(float)
    fitted = [
        table.outcome(rule.exits(table)).accuracy for rule in RULES[kind].fitted(table, merits)
    ]
    parts = [
        [outside.outcome(rule.exits(outside)).accuracy for rule in rules]
        for _, outside, rules in RULES[kind].crossed_fits(table, merits)
    ]
    assert np.mean(fitted) > np.mean(parts) + 0.01  # fits to noise look good where they were made
    assert np.mean(parts) < by_exit.max()


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_is_judged_by_a_rule_that_did_not_see_it(kind, make_data):
    # Copies of an image in one group: were they parted, each fold would know the others' labels.
    base, generator = make_data(3, images=60), np.random.default_rng(0)
    data = LogitSet(
        "calibrate",
        np.repeat(base.logits, 5, axis=1),
        np.repeat(generator.integers(3, size=60), 5),
        np.repeat(np.arange(60), 5),
    )
    table = ExitTable(data, (1.0,) * 3, COSTS.values)
    right = data.correct.astype(np.float32)[None]
    candidates = RULES[kind].front(
        table, RuleOptions(rule=kind), right, lambda totals: totals[0] / 300
    )
    for candidate in candidates:
        assert (candidate.crossed.reshape(60, 5) == candidate.crossed[::5, None]).all()


@pytest.mark.parametrize("exits", [2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_two_exits_are_enough_and_more_work(kind, exits, make_data):
    data = make_data(exits, images=120, classes=2)
    costs = Costs(values=tuple(np.linspace(0.3, 1, exits)), unit="relative", source="test")
    result = policy_for(kind, data, costs, mean_exit_cost=0.7)
    assert result.policy.rule.kind == kind
    assert len(result.policy.rule.weights) == exits - 1
    assert result.expected.cost <= 0.7
    assert ExitPolicy.from_json(result.policy.to_json()) == result.policy
    final = policy_for(kind, data, costs, max_accuracy_drop=0.0)
    assert final.expected.accuracy >= data.final_accuracy  # the final exit is always tried


@pytest.mark.parametrize("kind", KINDS)
def test_guarantees_are_proven_by_the_same_tests(kind):
    calibrate, certify = lying(400, seed=0), lying(400, seed=1)
    result = policy_for(kind, calibrate, certify=certify, guarantee=["disagreement<=0.1"])
    assert result.policy.rule.kind == kind
    assert result.policy.promises[0].p_value <= 0.05
    assert result.expected.cost < 0.6
    table = ExitTable(calibrate, result.policy.temperatures, COSTS.values)
    tested = [table.outcome(trial.rule.exits(table)).cost for trial in result.trials[:8]]
    assert (np.diff(tested) <= 0).all()  # the ladder before the front: safest first


@pytest.mark.parametrize("kind", ["linear_gate", "eenet"])  # the third finds no early exit here
def test_gates_refer_images_as_thresholds_do(kind, make_data):
    calibrate, certify = (make_data(3, images=500, seed=seed) for seed in (0, 1))
    result = policy_for(
        kind, calibrate, certify=certify, guarantee=["error<=0.1"], max_referral=0.6
    )
    policy = result.policy
    assert policy.rule.kind == kind
    assert policy.promises[0].referred > 0
    assert result.answered.images == 500
    exits = policy.assign(certify.logits)
    answered = policy.referred(certify.logits, exits) == 0
    right = certify.correct[exits - 1, np.arange(500)]
    assert 1 - right[answered].mean() == pytest.approx(policy.promises[0].observed)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_go_with_images_that_look_unlike(kind, make_data):
    unlike = find_policy(
        make_goal(mean_exit_cost=0.7),
        calibrate=make_data(3, images=150),
        costs=COSTS,
        classes=CLASSES,
        options=RuleOptions(rule=kind, refer_unlike=0.05),
    )
    assert unlike.answered.unlike > 0
    assert ExitPolicy.from_json(unlike.policy.to_json()) == unlike.policy


def test_the_front_shows_what_is_expected_of_new_images(make_data):
    data = make_data(3, images=150)
    policy = policy_for("linear_gate", data, mean_exit_cost=0.6).policy
    table = ExitTable(data, policy.temperatures, COSTS.values)
    again = [table.outcome(point.rule.exits(table)).accuracy for point in policy.front]
    assert [point.accuracy for point in policy.front] == [point.score for point in policy.front]
    assert again != [point.accuracy for point in policy.front]
    assert sum(policy.calibrated.exits) == 150


@pytest.mark.parametrize("kind", GATES)
def test_faults_name_what_does_not_fit(kind):
    rule = gate(kind, 2, 3)
    assert rule.faults(2) == []
    assert rule.faults(4) == [
        f"1 {name}, but the rule {rule.kind} with 4 exits takes 3"
        for name in ("rows of weights", "thresholds")
    ]
    (fault,) = rule.replaced(weights=((1.0, 2.0),)).faults(2)
    assert fault.startswith("2 weights at exit 1, but the rule")
    with pytest.raises(PolicyError, match=r"does not fit: 1 rows of weights.* 3\. Make it again"):
        ExitPolicy(rule=rule, num_exits=4, temperatures=(1,) * 4)
    served = Provenance(weights_sha256="", preprocessing="", precision="f32", classes=("a", "b"))
    with pytest.raises(PolicyError, match=r"gates for 3 classes, but the network has 2\. Make it"):
        ExitPolicy(rule=rule, num_exits=2, temperatures=(1, 1), provenance=served)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"weights": "none"}, "weights"),
        ({"weights": [["1.0"] * 8]}, r"weights\.0\.0"),
        ({"weights": [[float("nan")] * 8]}, r"weights\.0\.0"),
        ({"weights": [[0.0] * 200_001]}, r"weights\.0"),
        ({"weights": [[0.0]] * 1001}, "weights"),
        ({"num_classes": 1}, "num_classes"),
        ({"thresholds": [float("inf")]}, r"thresholds\.0"),
    ],
)
def test_damaged_arrays_are_refused_with_their_place(change, where):
    fields = gate(GATES[0], 2, 3).model_dump(mode="json") | change
    with pytest.raises(PolicyError, match=f"{where}: .*endoexit calibrate"):
        GATES[0].model_validate(fields)


def test_gates_of_other_classes_or_without_their_values_are_refused():
    policy = ExitPolicy(rule=gate(GATES[0], 3, 3), num_exits=3, temperatures=(1,) * 3)
    with pytest.raises(PolicyError, match=r"fitted for 3 classes, but the logits have 4"):
        policy.assign(np.zeros((3, 2, 4)))
    with pytest.raises(PolicyError, match=r"\(2, 1\), got none: take them from `ExitPolicy.gate`"):
        policy.leaves(1, np.zeros((2, 3)), np.zeros((2, 0)))
    with pytest.raises(PolicyError, match=r"\(2, 2\), got \(2, 1\)"):
        policy.leaves(2, np.zeros((2, 3)), np.zeros((2, 1)), np.zeros((2, 1)))
    assert policy.gate(3, np.zeros((2, 3)), np.zeros((2, 2)), np.zeros((2, 2))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_cohort_is_refused(kind, make_data):
    with pytest.raises(PolicyError, match=r"calibrate has 30 images, too few to fit a gate"):
        policy_for(kind, make_data(3, images=30), mean_exit_cost=0.6)


def test_rules_without_a_fit_are_the_final_exit_and_the_first(make_data):
    for kind in GATES:
        shut, opened = kind.plain(3, 3)
        table = ExitTable(make_data(3), (1.0,) * 3, COSTS.values)
        assert (shut.exits(table) == 3).all()
        assert (opened.exits(table) == 1).all()
        assert [shut.condition(1), opened.condition(1)] == [False, True]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exits", [2, 12])
def test_costs_and_scores_are_those_of_crossed_exits(make_data, kind, exits):
    data = make_data(exits, images=100)
    table = ExitTable(data, (1.0,) * exits, tuple(np.linspace(0.2, 1.0, exits)))
    right = data.correct.astype(np.float32)[None]
    candidates = RULES[kind].front(
        table, RuleOptions(rule=kind), right, lambda totals: totals[0] / 100
    )
    assert len(candidates) > 1
    for candidate in candidates:
        outcome = table.outcome(candidate.crossed)
        assert (outcome.cost, outcome.accuracy) == pytest.approx((candidate.cost, candidate.score))
