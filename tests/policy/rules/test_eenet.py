import json
from pathlib import Path

import numpy as np
import pytest

from endoexit.policy.budget import thresholds_for_shares
from endoexit.policy.logits import LogitSet
from endoexit.policy.rules.eenet import BUDGETS, EenetRule
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.table import ExitTable
from golden.fill import fill

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "eenet.json").read_text(encoding="utf-8")
)


def published_weights():
    """Return the weights (u, w) of each early exit, as the golden numbers were made."""
    rows = []
    for row in range(2):
        first, second = (
            0.2 * np.abs(fill(f"score_normalizers.{row}.q_layer_{part}.0.weight", [1, width]))
            for part, width in ((1, 4), (2, 2 + row))
        )
        rows.append(tuple(np.concatenate([first, second], axis=1)[0].astype(float).tolist()))
    return tuple(rows)


def test_scores_and_thresholds_are_those_of_the_published_code():
    logits = np.array(GOLDEN["probabilities_from_logits"])
    data = LogitSet("golden", logits, np.array(GOLDEN["labels"]))
    rule = EenetRule(num_classes=4, weights=published_weights(), thresholds=(None, None))
    table = ExitTable(data, (1.0,) * 3, tuple(GOLDEN["costs"]))
    scores = rule.strengths(table)
    assert scores == pytest.approx(np.array(GOLDEN["scores"][:2]), rel=1e-5)
    shares = np.mean(GOLDEN["case"]["exit_probabilities"], axis=0)
    thresholds = thresholds_for_shares(scores, shares)
    assert thresholds == pytest.approx(GOLDEN["case"]["thresholds"][:2], rel=1e-5)


def test_weight_on_the_largest_probability_alone_is_a_threshold(golden):
    data = golden("test")
    table = ExitTable(data, (0.5, 0.8, 1.1, 1.0), (1, 2, 3, 4))
    classes = data.num_classes
    rows = [np.zeros(classes + 1 + number) for number in (1, 2, 3)]
    for row in rows:
        row[classes] = 1.0
    weights = tuple(tuple(row.tolist()) for row in rows)
    rule = EenetRule(num_classes=classes, weights=weights, thresholds=(0.8, None, 0.6))
    plain = ThresholdRule(kind="max_probability", thresholds=(0.8, None, 0.6))
    assert np.array_equal(rule.exits(table), plain.exits(table))


def test_rules_cost_what_their_budgets_say(golden):
    data, costs = golden("cal"), (0.25, 0.5, 0.75, 1.0)
    table = ExitTable(data, (0.6,) * 4, costs)
    rules = EenetRule.fitted(table, data.correct.astype(float))
    budgets = 0.25 + 0.75 * np.arange(1, BUDGETS + 1) / (BUDGETS + 1)
    spent = [table.outcome(rule.exits(table)).cost for rule in rules]
    # Shares are rounded to whole images at each exit.
    assert spent == pytest.approx(budgets, abs=0.03 + 3 / data.num_images)


def test_words():
    rule = EenetRule(num_classes=2, weights=((0.0,) * 4, (0.0,) * 5), thresholds=(0.5, None))
    assert [rule.condition(number) for number in (1, 2)] == ["EENet score >= 0.5000", False]
