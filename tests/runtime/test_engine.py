import cProfile
import pstats
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_backend import POLICIES, PREPROCESSING, TableBackend, numbered, same, tables

from endoexit.errors import DataError, PolicyError, UsageError
from endoexit.policy import (
    ExitPolicy,
    confidence,
    deadline_policy,
    fixed_exit,
    threshold_policy,
)
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.runtime import clock as clock_module
from endoexit.runtime import engine as engine_module
from endoexit.runtime.engine import Engine


@given(logits=tables, policy=st.sampled_from(POLICIES), data=st.data())
def test_a_batch_in_any_order_answers_like_its_images_one_by_one(logits, policy, data):
    engine = Engine(TableBackend(logits), policy, PREPROCESSING)
    count = logits.shape[1]
    order = data.draw(st.permutations(range(count)))
    alone = [engine.predict(numbered([image]))[0] for image in range(count)]
    size = data.draw(st.integers(1, count))
    together = []
    for start in range(0, count, size):
        together += engine.predict(numbered(order[start : start + size]))
    same(together, [alone[image] for image in order])
    assert [answer.exit for answer in alone] == policy.assign(logits).tolist()


@given(logits=tables, policy=st.sampled_from(POLICIES))
def test_an_image_is_referred_as_the_policy_refers_it_in_its_cohort(logits, policy):
    answers = Engine(TableBackend(logits), policy, PREPROCESSING).predict(
        numbered(range(logits.shape[1]))
    )
    codes = policy.referred(logits, policy.assign(logits))
    reasons = [None, "unsure", "unlike"]
    assert [answer.referred for answer in answers] == [reasons[code] for code in codes]
    assert not any(answer.cut_short for answer in answers)


@given(logits=tables, policy=st.sampled_from(POLICIES))
def test_no_stage_runs_for_an_image_that_has_left(logits, policy):
    backend = TableBackend(logits)
    answers = Engine(backend, policy, PREPROCESSING).predict(numbered(range(logits.shape[1])))
    for stage in (1, 2, 3):
        assert backend.visits(stage) == [
            image for image, answer in enumerate(answers) if answer.exit >= stage
        ]
    assert [len(answer.stage_ms) for answer in answers] == [answer.exit for answer in answers]


def test_by_hand():
    # Exit 1 is sure of image 1, exit 2 of image 0, and image 2 goes to the end.
    logits = np.log([
        [[0.5, 0.5], [0.1, 0.9], [0.4, 0.6]],
        [[0.95, 0.05], [0.5, 0.5], [0.5, 0.5]],
        [[0.5, 0.5], [0.5, 0.5], [0.7, 0.3]],
    ])  # fmt: skip
    backend = TableBackend(logits)
    answers = Engine(backend, threshold_policy(3, 0.89), PREPROCESSING).predict(numbered(range(3)))
    assert backend.calls == [(1, [0, 1, 2]), (2, [0, 2]), (3, [2])]
    assert [(answer.label, answer.exit) for answer in answers] == [(0, 2), (1, 1), (0, 3)]
    np.testing.assert_allclose(answers[2].probabilities, [0.7, 0.3], rtol=1e-12)


def test_probabilities_are_at_the_temperature_of_the_exit_that_answered():
    logits = np.array([[[0.0, 0.0]], [[3.0, 0.0]]])
    policy = ExitPolicy(
        rule=ThresholdRule(kind="max_probability", thresholds=(0.9,)),
        num_exits=2,
        temperatures=(1.0, 3.0),
    )
    answer = Engine(TableBackend(logits), policy, PREPROCESSING).predict(numbered([0]))[0]
    assert answer.probabilities[0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_network_with_one_exit_has_one_stage():
    backend = TableBackend(np.zeros((1, 5, 3)))
    answers = Engine(backend, fixed_exit(1, 1), PREPROCESSING).predict(numbered(range(5)))
    assert [answer.exit for answer in answers] == [1] * 5
    assert len(backend.calls) == 1


def test_no_images_need_no_stage():
    backend = TableBackend(np.zeros((2, 1, 3)))
    assert Engine(backend, fixed_exit(2, 2), PREPROCESSING).predict(numbered([])) == []
    assert backend.calls == []


def test_images_must_be_prepared_first():
    engine = Engine(TableBackend(np.zeros((2, 1, 3))), fixed_exit(2, 2), PREPROCESSING)
    with pytest.raises(DataError, match=r"pass images through apply\(\) first"):
        engine.predict(np.zeros((1, 9, 9, 3), np.uint8))


def test_values_that_are_not_finite_are_never_an_answer():
    logits = np.array([[[0.0, np.nan]], [[0.0, 1.0]]])
    for policy in (threshold_policy(2, 0.9), fixed_exit(2, 1)):
        engine = Engine(TableBackend(logits), policy, PREPROCESSING)
        with pytest.raises(PolicyError, match="NaN or infinity"):
            engine.predict(numbered([0]))


def test_the_policy_must_be_for_this_number_of_exits():
    with pytest.raises(PolicyError, match="over 3 exits, but this network has 2"):
        Engine(TableBackend(np.zeros((2, 1, 3))), fixed_exit(3, 1), PREPROCESSING)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only stages move."""
    fake = SimpleNamespace(ms=0.0, perf_counter=lambda: fake.ms / 1000)
    monkeypatch.setattr(engine_module, "time", fake)
    monkeypatch.setattr(clock_module, "time", fake)
    return fake


class TimedBackend(TableBackend):
    """Takes a time for each stage, however many images there are."""

    def __init__(self, logits, clock, stage_ms):
        super().__init__(logits)
        self.clock, self.stage_ms = clock, stage_ms

    def run(self, number, state):
        self.clock.ms += self.stage_ms[number - 1]
        return super().run(number, state)


class CompilingBackend(TimedBackend):
    """Takes another 1000 ms to compile a stage for a batch size that it has not seen."""

    def prepare(self, number, state):
        if (number, len(state)) not in self.prepared:
            self.clock.ms += 1000
        super().prepare(number, state)


def undecided(stages, images=1):
    return np.zeros((stages, images, 2))


@pytest.mark.parametrize(
    ("deadline_ms", "exit_"), [(512.1, 3), (511.9, 2), (12.1, 2), (11.9, 1), (2.1, 1)]
)
def test_a_stage_that_cannot_finish_in_time_is_not_started(clock, deadline_ms, exit_):
    backend = TimedBackend(undecided(3), clock, (2, 10, 500))
    engine = Engine(backend, fixed_exit(3, 3), PREPROCESSING, deadline_ms)
    engine.warm_up()
    backend.calls.clear()
    answer = engine.predict(numbered([0]))[0]
    assert answer.exit == exit_
    assert answer.cut_short == (exit_ < 3)
    assert not answer.deadline_missed
    assert [stage for stage, _ in backend.calls] == list(range(1, exit_ + 1))


def test_stages_are_timed_before_the_first_deadline_begins(clock):
    backend = TimedBackend(undecided(2, images=4), clock, (1, 200))
    engine = Engine(backend, fixed_exit(2, 2), PREPROCESSING, deadline_ms=100)
    answers = engine.predict(numbered(range(4)))
    assert [answer.exit for answer in answers] == [1] * 4
    assert all(answer.cut_short and not answer.deadline_missed for answer in answers)
    calls = len(backend.calls)
    engine.predict(numbered(range(4)))
    assert len(backend.calls) == calls + 1, "what is known is not measured again"


def test_compiling_is_not_part_of_the_forecast(clock):
    # The compiling run would make every forecast 1000 ms too long, so stage 2 would not start.
    backend = CompilingBackend(undecided(3), clock, (2, 10, 500))
    engine = Engine(backend, fixed_exit(3, 3), PREPROCESSING, deadline_ms=100)
    assert engine.predict(numbered([0]))[0].exit == 2
    assert [engine._times.forecast(stage, 1) for stage in (1, 2, 3)] == pytest.approx([2, 10, 500])


def test_compiling_is_not_part_of_the_time_of_a_stage(clock):
    # Two images exit at stage 1, so stage 2 compiles for a new batch size.
    logits = undecided(2, images=5)
    logits[0, :2] = (9.0, 0.0)
    backend = CompilingBackend(logits, clock, (20, 30))
    engine = Engine(backend, threshold_policy(2, 0.9), PREPROCESSING)
    times = [answer.stage_ms for answer in engine.predict(numbered(range(5)))]
    assert clock.ms == 2050
    assert backend.prepared == [(1, 5), (2, 3)]
    assert times == [pytest.approx((4,))] * 2 + [pytest.approx((4, 10))] * 3


def test_a_deadline_shorter_than_stage_1_still_answers_and_says_so(clock):
    backend = TimedBackend(undecided(2), clock, (20, 20))
    engine = Engine(backend, fixed_exit(2, 2), PREPROCESSING, deadline_ms=5)
    answer = engine.predict(numbered([0]))[0]
    assert (answer.exit, answer.cut_short, answer.deadline_missed) == (1, True, True)


def test_a_stage_that_takes_longer_than_ever_makes_the_whole_call_late(clock):
    logits = undecided(2, images=2)
    logits[0, 0] = (9.0, 0.0)
    backend = TimedBackend(logits, clock, [1, 1])
    engine = Engine(backend, threshold_policy(2, 0.9), PREPROCESSING, deadline_ms=50)
    engine.warm_up(2)
    backend.stage_ms[1] = 80
    answers = engine.predict(numbered([0, 1]))
    assert [answer.exit for answer in answers] == [1, 2]
    assert all(answer.deadline_missed and not answer.cut_short for answer in answers)


def test_who_satisfies_the_policy_is_not_cut_short(clock):
    logits = undecided(2, images=2)
    logits[0, 0] = (9.0, 0.0)
    backend = TimedBackend(logits, clock, (1, 300))
    engine = Engine(backend, threshold_policy(2, 0.9), PREPROCESSING, deadline_ms=50)
    answers = engine.predict(numbered([0, 1]))
    assert [(answer.exit, answer.cut_short) for answer in answers] == [(1, False), (1, True)]


def test_the_shorter_of_two_deadlines_counts():
    backend = TableBackend(undecided(2))
    policy = deadline_policy(2, 40.0)
    assert Engine(backend, policy, PREPROCESSING).deadline_ms == 40.0
    assert Engine(backend, policy, PREPROCESSING, deadline_ms=30.0).deadline_ms == 30.0
    assert Engine(backend, policy, PREPROCESSING, deadline_ms=50.0).deadline_ms == 40.0
    assert Engine(backend, fixed_exit(2, 2), PREPROCESSING).deadline_ms is None


@pytest.mark.parametrize("deadline_ms", [0.0, -1.0, float("nan")])
def test_a_deadline_is_positive(deadline_ms):
    with pytest.raises(UsageError, match="more than 0 ms"):
        Engine(TableBackend(undecided(2)), fixed_exit(2, 2), PREPROCESSING, deadline_ms)


def test_the_time_of_a_stage_is_shared_by_those_who_ran_it(clock):
    logits = undecided(2, images=5)
    logits[0, :3] = (9.0, 0.0)
    backend = TimedBackend(logits, clock, (20, 40))
    answers = Engine(backend, threshold_policy(2, 0.9), PREPROCESSING).predict(numbered(range(5)))
    times = [answer.stage_ms for answer in answers]
    assert times == [pytest.approx((4,))] * 3 + [pytest.approx((4, 20))] * 2
    assert answers[4].milliseconds == pytest.approx(24)


def test_policy_gathering_and_bookkeeping_take_few_calls():
    # Four stages that cost nothing, an image that goes through all of them. Times depend on the
    # machine and its other work, the number of calls does not.
    backend = TableBackend(np.zeros((4, 1, 8)))
    engine = Engine(backend, threshold_policy(4, 0.9), PREPROCESSING)
    image = numbered([0])
    engine.predict(image)
    with cProfile.Profile() as profile:
        engine.predict(image)
    assert pstats.Stats(profile).total_calls < 200


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_alone_with_values_that_are_not_finite_is_refused(number, value):
    logits = np.zeros((3, 1, 3))
    logits[number, 0, 1] = value
    engine = Engine(TableBackend(logits), threshold_policy(3, 0.9), PREPROCESSING)
    with pytest.raises(PolicyError, match="NaN or infinity"):
        engine.predict(numbered([0]))


def test_an_image_alone_whose_confidence_is_the_threshold_exits_as_in_a_batch():
    logits = np.random.default_rng(0).normal(size=(2, 40, 5)).astype(np.float32)
    for image in range(40):
        (value,) = confidence(logits[0, image][None], "max_probability", 1.0)
        engine = Engine(TableBackend(logits), threshold_policy(2, float(value)), PREPROCESSING)
        assert engine.predict(numbered([image]))[0].exit == 1


class SlowTable(TableBackend):
    """Lets other threads work in the middle of every stage."""

    def run(self, number, state):
        after, logits = super().run(number, state)
        time.sleep(0.001)
        return after, logits


def test_engines_on_one_backend_answer_two_threads_as_they_answer_one():
    logits = np.random.default_rng(0).normal(size=(3, 40, 4)).astype(np.float32)
    backend = SlowTable(logits)
    # With a threshold that none reaches, and one image or two at a time.
    engines = [Engine(backend, threshold_policy(3, 1.0), PREPROCESSING) for _ in range(2)]
    parts = [[[image] for image in range(0, 20)], [[i, i + 1] for i in range(20, 40, 2)]]

    def answers(engine, part):
        return [answer for images in part for answer in engine.predict(numbered(images))]

    alone = [answers(engine, part) for engine, part in zip(engines, parts, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(answers, engines, parts))
    for ours, theirs in zip(together, alone, strict=True):
        same(ours, theirs)


def test_a_step_that_raises_leaves_the_batch_as_it_was():
    logits = np.zeros((3, 2, 3))
    logits[1, 1] = np.nan
    engine = Engine(TableBackend(logits), threshold_policy(3, 0.9), PREPROCESSING)
    batch = engine.enter(numbered([0, 1]), ["good", "bad"])
    engine.step(batch)
    with pytest.raises(PolicyError):
        engine.step(batch)
    assert batch.passed == 1
    alone = engine.take(batch, np.array([0]))
    assert engine.step(alone).exiting.tolist() == [False]
