"""Stages that run as one: which, when not, and with the same answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_backend import POLICIES, PREPROCESSING, TableBackend, numbered, same, tables

from endoexit.policy import ExitPolicy, deadline_policy, fixed_exit, patience_policy
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.runtime.engine import Engine
from endoexit.runtime.fused import fused_ends
from endoexit.runtime.stream import predict_stream


def skipping(*thresholds):
    """A policy that leaves the exits with None unused."""
    exits = len(thresholds) + 1
    rule = ThresholdRule(kind="max_probability", thresholds=thresholds)
    return ExitPolicy(rule=rule, num_exits=exits, temperatures=(1.0,) * exits)


SKIPPING = [skipping(None, 0.6), skipping(0.6, None), skipping(None, None), fixed_exit(3, 3)]


class JoiningBackend(TableBackend):
    """Also runs stages as one, which it notes, and spoils the state of their last one."""

    def __init__(self, logits):
        super().__init__(logits)
        self.joined = []

    def prepare_together(self, first, last, state):
        self.prepared.append((first, last, len(state)))

    def run_together(self, first, last, state):
        self.joined.append((first, last))
        return self.run(last, state)


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        (skipping(0.5, 0.5, 0.5), (1, 2, 3, 4)),
        (skipping(None, 0.5, 0.5), (2, 2, 3, 4)),
        (skipping(None, None, 0.5), (3, 3, 3, 4)),
        (skipping(0.5, None, None), (1, 4, 4, 4)),
        (skipping(0.5, 0.0, None), (1, 2, 4, 4)),
        (fixed_exit(3, 3), (3, 3, 3)),
        (fixed_exit(3, 2), (2, 2, 3)),
        (fixed_exit(1, 1), (1,)),
        (patience_policy(3, 3), (1, 2, 3)),  # it counts labels of exits where no image exits
        (deadline_policy(3, 20), (1, 2, 3)),
    ],
)
def test_stages_run_as_one_up_to_an_exit_that_is_used(policy, ends):
    assert fused_ends(policy) == ends


def test_a_policy_that_refers_images_looks_at_every_exit():
    referring = next(policy for policy in POLICIES if policy.referral is not None)
    unused = referring.replaced(rule=skipping(None, None).rule)
    assert fused_ends(unused) == (1, 2, 3)


@given(
    logits=tables,
    policy=st.sampled_from([*POLICIES, *SKIPPING]),
    size=st.integers(1, 6),
    streamed=st.booleans(),
)
def test_answers_are_those_of_stages_one_by_one(logits, policy, size, streamed):
    images = numbered(range(logits.shape[1]))
    separate = Engine(TableBackend(logits), policy, PREPROCESSING).predict(images)
    backend = JoiningBackend(logits)
    fused = Engine(backend, policy, PREPROCESSING, fused=True)
    if streamed:
        answers = list(predict_stream(fused, images, size))
    else:
        answers = [answer for start in range(0, len(images), size)
                   for answer in fused.predict(images[start : start + size])]  # fmt: skip
    same(answers, separate)
    assert [len(answer.stage_ms) for answer in answers] == [answer.exit for answer in answers]
    ends = fused_ends(policy)
    used = set(zip(range(1, 4), ends, strict=True))
    assert set(backend.joined) <= {stages for stages in used if stages[0] < stages[1]}
    assert fused.fused == (ends != (1, 2, 3))
    assert bool(backend.joined) >= (ends[0] > 1)


def test_the_time_is_in_the_last_of_stages_that_run_as_one():
    backend = JoiningBackend(np.zeros((3, 2, 4), np.float32))
    engine = Engine(backend, skipping(None, 1.0), PREPROCESSING, fused=True)
    for answer in [*engine.predict(numbered([0, 1])), *engine.predict(numbered([1]))]:
        assert answer.stage_ms[0] == 0.0
        assert min(answer.stage_ms[1:]) > 0.0
    assert backend.joined == [(1, 2)] * 2
    assert backend.prepared == [(1, 2, 2), (3, 2), (1, 2, 1), (3, 1)]


def test_a_step_is_one_stage_even_then():
    backend = JoiningBackend(np.zeros((3, 2, 4), np.float32))
    engine = Engine(backend, fixed_exit(3, 3), PREPROCESSING, fused=True)
    batch = engine.enter(numbered([0, 1]), range(2))
    assert engine.step(batch).batch.passed == 1
    assert engine.stride(batch).batch.passed == 3
    assert (backend.calls[0], backend.joined) == ((1, [0, 1]), [(2, 3)])
    assert batch.labels.tolist() == [[0, -1, 0]] * 2


def test_a_deadline_still_cuts_at_an_exit_that_the_policy_leaves_unused():
    backend = JoiningBackend(np.zeros((3, 1, 4), np.float32))
    engine = Engine(backend, fixed_exit(3, 3), PREPROCESSING, deadline_ms=1e6, fused=True)
    engine.warm_up()
    engine._times._seen[2].clear()
    engine._times.record(2, 1, 2e6)  # as if stage 2 took too long
    (answer,) = engine.predict(numbered([0]))
    assert (answer.exit, answer.cut_short) == (1, True)
    assert (backend.joined, engine.fused) == ([], False)


def test_a_backend_that_cannot_runs_one_by_one():
    backend = TableBackend(np.zeros((3, 1, 4), np.float32))
    engine = Engine(backend, fixed_exit(3, 3), PREPROCESSING, fused=True)
    assert engine.predict(numbered([0]))[0].exit == 3
    assert ([call[0] for call in backend.calls], engine.fused) == ([1, 2, 3], False)


def test_nothing_runs_as_one_unasked():
    backend = JoiningBackend(np.zeros((3, 1, 4), np.float32))
    Engine(backend, fixed_exit(3, 3), PREPROCESSING).predict(numbered([0]))
    assert backend.joined == []
