"""Policies that the first release wrote (commit 0128912) on the golden logits of colonoscopy."""

import json
from pathlib import Path

import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy import ExitPolicy
from endoexit.policy.first_format import current_form
from endoexit.policy.goals import Budget, CostLimit, Guarantee
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.risks import Risk
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.patience import PatienceRule
from endoexit.policy.rules.threshold import ThresholdRule

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FILES = sorted((GOLDEN / "policies_first_format").glob("*.json"))


def old(name):
    return json.loads((GOLDEN / "policies_first_format" / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_policy_of_the_first_release_decides_as_it_did(file):
    document = json.loads(file.read_text("utf-8"))
    with np.load(GOLDEN / "colonoscopy_logits.npz", allow_pickle=False) as arrays:
        data = LogitSet("test", arrays["test_logits"], arrays["test_labels"])
    policy = ExitPolicy.model_validate(document["policy"])
    assert policy.assign(data.logits).tolist() == document["exits"]
    assert policy.format == "endoexit-policy-2"
    assert ExitPolicy.from_json(policy.to_json()) == policy
    assert ExitPolicy.from_json(json.dumps(document["policy"])) == policy
    assert len(policy.front) == len(document["policy"]["front"])


@pytest.mark.parametrize(
    ("name", "rule", "goal", "options"),
    [
        (
            "cost_limit",
            ThresholdRule(
                kind="margin",
                thresholds=(0.8104015497408918, 0.6694139334294447, 0.6666305143263471),
            ),
            CostLimit(limit=25.0, unit="ms"),
            RuleOptions(rule="margin", candidates=4),
        ),
        (
            "patience",
            PatienceRule(patience=3),
            CostLimit(limit=0.8, unit="relative"),
            RuleOptions(rule="patience"),
        ),
        (
            "guarantee",
            ThresholdRule(kind="max_probability", thresholds=(0.8903354964856481, 0.0, None)),
            Guarantee(
                risks=(
                    Risk(name="disagreement", tolerance=0.2),
                    Risk(name="missed", tolerance=0.4, of_class="b"),
                ),
                delta=0.1,
            ),
            RuleOptions(candidates=4),
        ),
        (
            "fell_back",
            FixedRule(exit=4),
            Guarantee(risks=(Risk(name="disagreement", tolerance=0.02),), delta=0.1),
            RuleOptions(rule="fixed", temperature_scaling=False),
        ),
    ],
)
def test_rule_goal_and_options_become_records(name, rule, goal, options):
    policy = ExitPolicy.model_validate(old(name)["policy"])
    assert policy.rule == rule
    assert (policy.request.goal, policy.request.rules) == (goal, options)
    assert {point.rule.kind for point in policy.front} == {options.rule}
    assert policy.fell_back == (name == "fell_back")
    risks = goal.risks if isinstance(goal, Guarantee) else ()
    assert tuple(promise.risk for promise in policy.promises) == risks


def test_a_budget_is_read():
    policy = ExitPolicy.model_validate(old("budget")["policy"])
    assert policy.request.goal == Budget(images=1000, seconds=25.0)


def test_the_present_form_is_not_touched():
    document = {"rule": {"kind": "fixed", "exit": 2}, "num_exits": 2, "temperatures": [1.0, 1.0]}
    assert current_form(document) is document
    assert current_form("rubbish") == "rubbish"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": [0.5, 0.5, 2.0]}, r"thresholds\.2: .*less than or equal to 1"),
        ({"thresholds": [0.5]}, "1 thresholds, but the rule margin with 4 exits takes 3"),
        ({"exit": 1}, "exit: Extra inputs"),
        ({"rule": "magic"}, "rule: Input tag 'magic'"),
        ({"request": {"goal": {"speed": "high"}, "rules": {}}}, "goal of its request cannot be"),
        ({"request": {"goal": {"max_ms": -1}, "rules": {}}}, "must be a positive number, got -1"),
        ({"format": "endoexit-policy-3"}, "reads endoexit-policy-1 and endoexit-policy-2: update"),
    ],
)
def test_damaged_policies_are_refused_with_a_remedy(change, message):
    with pytest.raises(PolicyError, match=message) as error:
        ExitPolicy.model_validate(old("cost_limit")["policy"] | change)
    assert any(word in str(error.value) for word in ("calibrate", "Make it again"))
