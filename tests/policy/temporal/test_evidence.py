"""Evidence and hysteresis: formulas, and what holds for any sequence of answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.policy.temporal.evidence import Gathered
from endoexit.policy.temporal.settings import Evidence


def answer(label: int, probability: float = 0.9, classes: int = 3) -> np.ndarray:
    rest = (1 - probability) / (classes - 1)
    return np.array([probability if each == label else rest for each in range(classes)])


def shown(rule: Evidence, labels: list[int], cuts: set[int] = frozenset()) -> list[int]:
    gathered = Gathered(rule)
    return [gathered.add(answer(label), cut=at in cuts) for at, label in enumerate(labels)]


def test_the_first_answer_is_shown_at_once():
    assert shown(Evidence(), [2]) == [2]


def test_a_single_stray_answer_changes_nothing():
    assert shown(Evidence(), [0] * 5 + [1] + [0] * 5) == [0] * 11


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_after_a_cut_a_change_comes_with_the_k_th_answer(frames):
    labels = [0] * 10 + [1] * 10
    labels_shown = shown(Evidence(frames=frames), labels, cuts={10})
    assert labels_shown == [0] * (10 + frames - 1) + [1] * (10 - frames + 1)


def test_without_a_cut_older_evidence_delays_it_more():
    labels = [0] * 10 + [1] * 10
    assert shown(Evidence(), labels).index(1) > shown(Evidence(), labels, {10}).index(1)


def test_a_lead_that_is_too_small_changes_nothing():
    gathered = Gathered(Evidence(lead=1.0, frames=1))
    gathered.add(answer(0))
    for _ in range(20):
        assert gathered.add(np.array([0.45, 0.5, 0.05])) == 0
    assert gathered.add(answer(1), cut=True) == 1


def test_evidence_is_a_geometric_mean_of_the_probabilities():
    gathered = Gathered(Evidence(keep=0.5, lead=0.0, frames=1))
    gathered.add(np.array([0.8, 0.2]))
    # 0.5 · log 0.8 + 0.5 · log 0.3 > 0.5 · log 0.2 + 0.5 · log 0.7, as 0.24 > 0.14.
    assert gathered.add(np.array([0.3, 0.7])) == 0
    assert gathered.add(np.array([0.3, 0.7])) == 1


def test_forgotten_evidence_begins_with_the_next_answer():
    gathered = Gathered(Evidence())
    gathered.add(answer(0))
    gathered.forget()
    assert gathered.shown is None
    assert gathered.add(answer(1)) == 1


def test_a_probability_of_zero_rules_no_label_out():
    gathered = Gathered(Evidence(frames=1))
    gathered.add(np.array([1.0, 0.0]))
    labels_shown = [gathered.add(np.array([0.0, 1.0])) for _ in range(4)]
    assert labels_shown[-1] == 1


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.34, 1.0), st.booleans()), max_size=80),
    st.integers(1, 6),
)
def test_two_changes_are_at_least_k_answers_apart(answers, frames):
    gathered = Gathered(Evidence(frames=frames, lead=0.0))
    labels_shown = [gathered.add(answer(label, p), cut=cut) for label, p, cut in answers]
    changes = [at for at in range(1, len(labels_shown)) if labels_shown[at] != labels_shown[at - 1]]
    assert all(b - a >= frames for a, b in itertools.pairwise(changes))
    assert all(change >= frames for change in changes)


def test_a_count_that_began_before_a_cut_does_not_go_on_after_it():
    rule = Evidence(keep=0.9, frames=3)
    labels = [0, *[1] * 20]
    begun = shown(rule, labels).index(1) - 1  # one more answer would show label 1
    assert shown(rule, labels, {begun + 1})[begun + 1 : begun + 3] == [0, 0]
