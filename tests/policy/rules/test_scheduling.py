import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from endoexit.policy.rules.scheduling import (
    Assignment,
    assignment_loss,
    divergence,
    schedules,
    score_loss,
    targets_of,
)
from endoexit.policy.table import ExitTable
from golden.fill import fill

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "eenet.json").read_text(encoding="utf-8")
)
COSTS = np.array(GOLDEN["costs"])


def published():
    """Return the features, weights, right answers and chances that the golden numbers are of."""
    inputs = np.array(GOLDEN["inputs_of_scores"])  # (M, N, C + 2)
    scores = np.array(GOLDEN["scores"])
    features = [np.column_stack([inputs[row], scores[:row].T]) for row in range(3)]
    weights = []
    for row in range(3):
        parts = ((1, 4), (2, 2 + row))
        names = [(f"score_normalizers.{row}.q_layer_{part}.0.weight", w) for part, w in parts]
        pieces = [0.2 * np.abs(fill(name, [1, width])).astype(float) for name, width in names]
        weights.append(np.concatenate(pieces, axis=1)[0])
    labels = np.array(GOLDEN["labels"])
    right = (inputs[:, :, :4].argmax(axis=2) == labels).astype(float)
    return features, weights, right, np.array(GOLDEN["case"]["exit_probabilities"])


def test_losses_and_gradients_are_those_of_the_published_code():
    features, weights, right, chances = published()
    shares = chances / chances.sum(axis=0)
    total = 0.0
    for row in range(3):
        value, slope = score_loss(weights[row], features[row], right[row], shares[:, row])
        total += value / 3
        for part, place in ((1, slice(0, 4)), (2, slice(4, None))):
            name = f"score_normalizers.{row}.q_layer_{part}.0.weight"
            norm = np.linalg.norm(slope[place]) / 3
            assert norm == pytest.approx(GOLDEN["norms_of_gradients"][name], rel=1e-4)
    assert total == pytest.approx(GOLDEN["case"]["bce"], rel=1e-5)
    targets = targets_of(np.array(GOLDEN["scores"]))
    assert divergence(targets, chances) == pytest.approx(GOLDEN["case"]["kl"], rel=1e-4)
    gap = abs((chances @ COSTS).mean() - GOLDEN["budget"]) / GOLDEN["budget"]
    assert gap == pytest.approx(GOLDEN["case"]["cost"], rel=1e-5)


def test_slopes_are_those_of_finite_differences():
    generator = np.random.default_rng(0)
    outputs, targets = generator.normal(size=(5, 3)), generator.dirichlet(np.ones(3), size=5)
    flat = lambda x: assignment_loss(x.reshape(5, 3), targets, COSTS, 2.2)[0]  # noqa: E731
    _, slope = assignment_loss(outputs, targets, COSTS, 2.2)
    assert slope.ravel() == pytest.approx(approx_fprime(outputs.ravel(), flat), abs=1e-6)
    features, weights, right, chances = published()
    plain = lambda x: score_loss(x, features[1], right[1], chances[:, 1])[0]  # noqa: E731
    _, slope = score_loss(weights[1], features[1], right[1], chances[:, 1])
    assert slope == pytest.approx(approx_fprime(weights[1], plain), abs=1e-5)


def test_scores_that_are_all_zero_give_even_targets():
    assert targets_of(np.array([[0.2, -1.0], [0.6, -0.5]])).tolist() == [
        pytest.approx([0.25, 0.75]),
        [0.5, 0.5],
    ]


@pytest.mark.parametrize("budget", [1.05, 1.5, 3.9])
def test_tight_and_loose_budgets_are_met(budget):
    generator = np.random.default_rng(1)
    features = [generator.normal(size=(80, width)) for width in (6, 7, 8)]
    targets = generator.dirichlet(np.ones(3), size=80)
    chances = Assignment(features).fit(features, targets, COSTS, budget)
    assert (chances @ COSTS).mean() == pytest.approx(budget, rel=0.06)
    assert chances.sum(axis=1) == pytest.approx(np.ones(80))


def test_scores_learn_which_answers_are_right(make_data):
    data = make_data(3, images=300)
    table = ExitTable(data, (1.0,) * 3, (1.0, 2.0, 4.0))
    (schedule,) = schedules(table, (2.0,))
    for row in range(3):
        scores, right = schedule.scores[row], data.correct[row]
        assert scores[right].mean() > scores[~right].mean() + 0.05
        assert scores.mean() == pytest.approx(right.mean(), abs=0.12)
    assert schedule.shares.sum() == pytest.approx(1.0)
