import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from endoexit.errors import PolicyError
from endoexit.policy import (
    CONFIDENCES,
    ExitPolicy,
    confidence,
    deadline_policy,
    fixed_exit,
    patience_policy,
    threshold_policy,
)
from endoexit.policy.document import Costs, FrontPoint, Promise, Provenance
from endoexit.policy.risks import Risk
from endoexit.policy.rules.threshold import ThresholdRule

SERVED = Provenance(
    weights_sha256="a" * 64, preprocessing="b" * 64, precision="f32", classes=("cat", "dog")
)


def logits_of(probabilities):
    """Two-class logits (M, N, 2) whose first probability is the given one."""
    first = np.asarray(probabilities)
    return np.log(np.stack([first, 1 - first], axis=-1))


def test_threshold_by_hand():
    # Exit 1 is sure of images 0 and 3, exit 2 of image 1; image 2 goes to the end.
    logits = logits_of([[0.95, 0.6, 0.6, 0.02], [0.5, 0.08, 0.7, 0.5], [0.5, 0.5, 0.5, 0.5]])
    assert threshold_policy(3, 0.9).assign(logits).tolist() == [1, 2, 3, 1]
    assert threshold_policy(3, 0.0).assign(logits).tolist() == [1, 1, 1, 1]
    assert threshold_policy(3, 0.8, rule="margin").assign(logits).tolist() == [1, 2, 3, 1]
    # 1 - H/ln 2 is 0.714 at .95, 0.859 at .02, 0.598 at .08, and 0.119 at .7.
    assert threshold_policy(3, 0.72, rule="entropy").assign(logits).tolist() == [3, 3, 3, 1]


def test_an_image_exits_where_its_confidence_equals_the_threshold():
    logits = np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32)
    for rule in CONFIDENCES:
        exact = float(confidence(logits[0], rule)[7])
        policy = threshold_policy(2, exact, rule=rule)
        assert policy.assign(logits)[7] == 1
        assert policy.leaves(1, logits[0, 7:8], np.empty((1, 0))).all()


def test_none_means_that_no_image_exits_there():
    policy = ExitPolicy(
        rule=ThresholdRule(kind="margin", thresholds=(None, 0.0)),
        num_exits=3,
        temperatures=(1, 1, 1),
    )
    assert policy.assign(np.full((3, 2, 2), [99.0, 0.0])).tolist() == [2, 2]


def test_temperature_of_each_exit_is_used():
    policy = ExitPolicy(
        rule=ThresholdRule(kind="max_probability", thresholds=(0.8, 0.8)),
        num_exits=3,
        temperatures=(4, 1, 2),
    )
    logits = np.full((3, 1, 2), [2.0, 0.0])  # 0.62 at T = 4, 0.88 at T = 1, 0.73 at T = 2
    assert policy.assign(logits).tolist() == [2]
    assert policy.probabilities(3, logits[2])[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_patience_by_hand():
    labels = np.array([[0, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 2], [0, 0, 0, 1]])
    logits = np.eye(3)[labels]
    assert patience_policy(4, 2).assign(logits).tolist() == [2, 3, 3, 4]
    assert patience_policy(4, 3).assign(logits).tolist() == [4, 4, 4, 4]
    same = np.eye(3)[np.ones((6, 1), dtype=int)]
    assert [int(patience_policy(6, s).assign(same)[0]) for s in (2, 3, 6)] == [2, 3, 6]


@pytest.mark.parametrize("exits", [1, 2, 6])
def test_fixed_exit_and_deadline(exits):
    logits = np.random.default_rng(0).normal(size=(exits, 5, 4))
    for k in range(1, exits + 1):
        assert (fixed_exit(exits, k).assign(logits) == k).all()
    policy = deadline_policy(exits, 25)
    assert policy.deadline_ms == 25.0
    assert (policy.assign(logits) == exits).all()


def test_relabelling_classes_changes_nothing():
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(4, 200, 5)).astype(np.float32) * 3
    order = generator.permutation(5)
    for policy in (*(threshold_policy(4, 0.6, rule=rule) for rule in CONFIDENCES),
                   patience_policy(4, 2), fixed_exit(4, 3)):  # fmt: skip
        exits = policy.assign(logits)
        assert np.array_equal(exits, policy.assign(logits[..., order]))
        assert policy.rule.kind == "fixed" or len(set(exits)) > 1


cases = hnp.arrays(np.float32, (4, 12, 3), elements=st.floats(-9, 9, width=32))
unit = st.floats(0, 1)


@given(cases, st.lists(st.tuples(unit, unit), min_size=3, max_size=3),
       st.sampled_from(CONFIDENCES))  # fmt: skip
def test_lower_thresholds_never_let_an_image_exit_later(logits, pairs, rule):
    def policy(thresholds):
        return ExitPolicy(
            rule=ThresholdRule(kind=rule, thresholds=tuple(thresholds)),
            num_exits=4,
            temperatures=(1, 1, 1, 1),
        )

    high, low = policy(map(max, pairs)), policy(map(min, pairs))
    assert (low.assign(logits) <= high.assign(logits)).all()


@given(cases, unit)
def test_assign_is_leaves_exit_by_exit(logits, threshold):
    for policy in (threshold_policy(4, threshold), patience_policy(4, 2)):
        exits = policy.assign(logits)
        labels = logits.argmax(-1)
        for image, last in enumerate(exits):
            for k in range(1, last + 1):
                leaves = policy.leaves(
                    k, logits[k - 1, image : image + 1], labels[: k - 1, image : image + 1].T
                )
                assert leaves.tolist() == [k == last]


def margin(*thresholds):
    return {"rule": {"kind": "margin", "thresholds": thresholds}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (margin(1.01), r"thresholds\.0.*less than or equal to 1 \(got 1\.01\)"),
        (margin(-0.1), "greater than or equal to 0"),
        (margin(float("nan")), "finite"),
        (margin(0.5, 0.5), "2 thresholds, but the rule margin with 2 exits takes 1"),
        ({"temperatures": (1.0,)}, "1 temperatures for 2 exits"),
        ({"temperatures": (1.0, 0.0)}, "greater than 0"),
        ({"treshold": 0.5}, "treshold: Extra inputs are not permitted"),
        ({"rule": {"kind": "magic"}}, "rule: Input tag 'magic'.*'max_probability', 'entropy'"),
        ({"rule": "magic"}, "rule: Input should be a valid dictionary"),
        ({"rule": {"kind": "patience", "patience": 3}}, "patience must be 2 to 2, got 3"),
        ({"rule": {"kind": "fixed", "exit": 3}}, "exit must be 1 to 2, got 3"),
        ({"rule": {"kind": "fixed"}}, "exit: Field required"),
        ({"exit": 1}, "exit: Extra inputs are not permitted"),
        ({"deadline_ms": 0.0}, "deadline_ms"),
        ({"format": "endoexit-policy-9"}, "format 'endoexit-policy-9'.*update endoexit"),
        ({"costs": Costs(values=(1, 2, 3), unit="ms", source="x")}, "3 costs for 2 exits"),
    ],
)
def test_refuses(change, message):
    good = {"num_exits": 2, "temperatures": (1.0, 1.0)} | margin(0.5)
    ExitPolicy(**good)
    with pytest.raises(PolicyError, match=message):
        ExitPolicy(**(good | change))
    with pytest.raises(PolicyError, match=message):
        ExitPolicy(**good).replaced(**change)


def test_conditions_in_words():
    rule = ThresholdRule(kind="entropy", thresholds=(None, 0.5))
    policy = ExitPolicy(rule=rule, num_exits=3, temperatures=(1, 1, 1))
    reached = "1 - normalised entropy >= 0.5000"
    assert policy.conditions() == ("never", reached, "always")
    timed = policy.replaced(deadline_ms=3.0)
    assert timed.conditions() == ("out of time", f"{reached}, or out of time", "always")
    assert deadline_policy(3, 5).conditions() == ("out of time", "out of time", "always")
    assert fixed_exit(3, 2).conditions() == ("never", "always", "never")
    assert threshold_policy(3, 0).conditions() == ("always", "never", "never")
    assert patience_policy(3, 2).conditions()[1] == "2 consecutive exits agree"


def test_a_policy_fell_back_where_all_promises_hold_by_construction():
    policy = full_policy()
    (promise,) = policy.promises
    built = promise.replaced(method="by construction", p_value=0.0)
    assert not policy.fell_back
    assert policy.replaced(promises=(built, built)).fell_back
    assert not policy.replaced(promises=(built, promise)).fell_back
    assert not policy.replaced(promises=()).fell_back


def test_leaves_refuses_what_does_not_fit():
    policy = threshold_policy(3, 0.5)
    with pytest.raises(PolicyError, match="exits 1 to 3"):
        policy.leaves(4, np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(PolicyError, match=r"as \(2, 1\), got \(2, 0\)"):
        policy.leaves(2, np.zeros((2, 2)), np.zeros((2, 0)))
    with pytest.raises(PolicyError, match=r"\(images, classes\)"):
        policy.probabilities(1, np.zeros(2))
    with pytest.raises(PolicyError, match=r"\(3, images, classes\)"):
        policy.assign(np.zeros((2, 5, 2)))


def full_policy():
    return ExitPolicy(
        rule=ThresholdRule(kind="entropy", thresholds=(None,)),
        num_exits=2,
        temperatures=(1.25, 0.1 + 0.2),
        deadline_ms=12.5,
        provenance=SERVED,
        goal="disagreement<=0.02",
        promises=(
            Promise(
                risk=Risk(name="disagreement", tolerance=0.02),
                delta=0.05,
                images=400,
                observed=0.0025,
                p_value=0.0028,
                method="exact binomial",
            ),
        ),
        note="é",
        costs=Costs(values=(1.0, 3.0), unit="ms", source="here"),
        front=(
            FrontPoint(
                rule=ThresholdRule(kind="entropy", thresholds=(0.25,)),
                cost=1.5,
                score=0.8,
                accuracy=0.8,
                exit_shares=(0.75, 0.25),
            ),
        ),
    )


def test_round_trip(tmp_path):
    policy = full_policy()
    policy.write(tmp_path / "policy.json")
    assert ExitPolicy.read(tmp_path / "policy.json") == policy


@given(st.lists(st.none() | unit, min_size=1, max_size=5), st.floats(0.01, 100))
def test_round_trip_of_any_thresholds(thresholds, temperature):
    policy = ExitPolicy(
        rule=ThresholdRule(kind="margin", thresholds=tuple(thresholds)),
        num_exits=len(thresholds) + 1,
        temperatures=(temperature,) * (len(thresholds) + 1),
    )
    assert ExitPolicy.from_json(policy.to_json()) == policy


def test_reading_refuses_unknown_keys_nan_and_rubbish(tmp_path):
    path = tmp_path / "policy.json"
    document = json.loads(full_policy().to_json())
    for text, message in (
        (json.dumps(document | {"extra": 1}), "extra: Extra inputs"),
        (
            json.dumps(document | {"rule": {"kind": "entropy", "thresholds": [float("nan")]}}),
            "finite",
        ),
        (json.dumps(document | {"provenance": {"weights": "x"}}), r"provenance\.weights: Extra"),
        (
            json.dumps(document | {"rule": {"kind": "entropy", "thresholds": ["0.5"]}}),
            "valid number",
        ),
        (full_policy().to_json()[:-20], "Invalid JSON"),
        ("[]", "valid dictionary"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(PolicyError, match=message) as error:
            ExitPolicy.read(path)
        assert str(path) in str(error.value)
    with pytest.raises(PolicyError, match="endoexit calibrate"):
        ExitPolicy.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_sha256": "c" * 64}, "weights 'aaaaaaaaaaaa', served 'cccccccccccc'"),
        ({"preprocessing": "d" * 64}, "preprocessing"),
        ({"precision": "bf16"}, "precision 'f32', served 'bf16'"),
        ({"classes": ("dog", "cat")}, "classes 'cat, dog', served 'dog, cat'"),
    ],
)
def test_refuses_to_serve_something_else(change, message):
    policy = full_policy()
    policy.require_served_as(SERVED.replaced(manifest_sha256="other data"))
    with pytest.raises(PolicyError, match=message) as error:
        policy.require_served_as(SERVED.replaced(**change))
    assert "endoexit calibrate" in str(error.value)


def test_a_promise_needs_provenance():
    threshold_policy(2, 0.5).require_served_as(SERVED)
    with pytest.raises(PolicyError, match="does not say for which weights"):
        full_policy().replaced(provenance=None).require_served_as(SERVED)
