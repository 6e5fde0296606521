"""The guarantee, repeated on simulated exits: what the benchmark does, on a small scale."""

import importlib
from pathlib import Path

import pytest

from endoexit.policy.goals import Guarantee
from endoexit.policy.risks import Risk
from endoexit.policy.simulation import RISK_CLASSES, GroupDesign, SimulatedExits

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NETWORK = SimulatedExits()


@pytest.fixture
def repeat(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("repetitions").repeat_guarantee


@pytest.mark.parametrize("risk", ["disagreement", "accuracy_loss", "missed"])
def test_the_guarantee_holds_and_saves_on_a_small_scale(risk, repeat):
    """The benchmark does this with 2000 repetitions, three sizes and two deltas."""
    goal = Guarantee(
        risks=(Risk(name=risk, tolerance=0.05, of_class=RISK_CLASSES[risk]),), delta=0.1
    )
    seen = repeat(NETWORK, goal, groups=400, repetitions=100, seed=1)
    assert seen.allowed == pytest.approx(0.1 + 3 * 0.03)
    assert seen.violations <= seen.allowed
    assert seen.naive_violations > 0.4  # what the certify role is for
    assert seen.saving >= 0.75 * seen.best_saving
    assert seen.fallbacks == 0.0


def test_too_few_images_fall_back_instead_of_promising(repeat):
    goal = Guarantee(risks=(Risk(name="disagreement", tolerance=0.03),), delta=0.05)
    seen = repeat(NETWORK, goal, groups=100, repetitions=20, seed=1)
    assert seen.violations == 0.0
    assert seen.saving < 0.9 * seen.best_saving


@pytest.mark.parametrize("risk", ["disagreement", "accuracy_loss"])
def test_groups_of_like_images_keep_the_promise_and_save_more_than_by_betting(risk, repeat):
    goal = Guarantee(risks=(Risk(name=risk, tolerance=0.1),), delta=0.1)
    design = GroupDesign("nine in ten hold one image", (1,) * 9 + (5,), likeness=0.9)
    seen = repeat(NETWORK, goal, groups=150, repetitions=20, seed=1, design=design)
    assert seen.design == "nine in ten hold one image"
    assert seen.violations <= seen.allowed
    assert seen.saving > seen.betting_saving + 0.02
    assert seen.saving >= 0.75 * seen.best_saving


def test_a_risk_that_the_final_exit_does_not_keep_is_never_promised(repeat):
    goal = Guarantee(risks=(Risk(name="error", tolerance=0.03),), delta=0.1)
    seen = repeat(NETWORK, goal, groups=300, repetitions=10, seed=1)
    assert seen.violations <= seen.allowed
    assert seen.fallbacks >= 0.8
    assert seen.saving < 0.1


def test_the_same_losses_are_not_tested_twice(repeat):
    goal = Guarantee(risks=(Risk(name="disagreement", tolerance=0.1),), delta=0.1)
    seen = repeat(NETWORK, goal, groups=100, repetitions=1, seed=1)
    assert seen.betting_saving is None
