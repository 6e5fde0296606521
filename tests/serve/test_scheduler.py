"""Which stage runs next: nothing lost, nothing twice, deadlines kept, nothing starves."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from table_backend import POLICIES, PREPROCESSING, TableBackend, numbered, same

from endoexit.errors import PolicyError, UsageError
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.runtime.engine import Engine
from endoexit.serve.scheduler import DeadlineError, Scheduler

IMAGES = 60
EXITS = 3
STAGE_S = (0.002, 0.004, 0.008)  # of a batch, whatever its size


class TimedBackend(TableBackend):
    """Takes time, on a clock of its own; breaks for the images that are guilty."""

    def __init__(self, logits, guilty=()):
        super().__init__(logits)
        self.now = 0.0
        self.guilty = set(guilty)

    def clock(self):
        return self.now

    def elapse(self, seconds):
        self.now += seconds

    def run(self, number, state):
        self.elapse(STAGE_S[number - 1])
        if self.guilty & set(state.tolist()):
            self.calls.append((number, []))
            raise RuntimeError("poison")
        return super().run(number, state)


def logits_that_exit_at(exits):
    """Return logits with which image i exits at `exits[i]` under a threshold of 0.9."""
    logits = np.zeros((EXITS, len(exits), 4), np.float32)
    for image, exit_ in enumerate(exits):
        logits[exit_ - 1 :, image, image % 4] = 9
    return logits


def make(exits, batch_size=4, capacity=64, guilty=(), **options):
    backend = TimedBackend(logits_that_exit_at(exits), guilty)
    engine = Engine(backend, threshold_policy(EXITS, 0.9), PREPROCESSING)
    scheduler = Scheduler([engine], batch_size, capacity, clock=backend.clock, **options)
    return backend, scheduler


def add(scheduler, *images, deadline=float("inf")):
    for image in images:
        scheduler.add(image, numbered([image])[0], deadline)


def ends(outcomes):
    return [(outcome.ticket, outcome.kind) for outcome in outcomes if outcome.is_last]


def run_all(scheduler):
    outcomes = []
    while len(scheduler):
        outcomes += scheduler.step()
    return outcomes


class SchedulerMachine(RuleBasedStateMachine):
    """Adds, cancels, waits, begins and finishes in any order; a model knows what must come out."""

    @initialize(
        seed=st.integers(0, 2**16),
        policy=st.sampled_from(POLICIES),
        batch_size=st.integers(1, 5),
        extra=st.integers(0, 12),
        guilty=st.sets(st.integers(0, IMAGES - 1), max_size=4),
        streams=st.integers(1, 3),
    )
    def start(self, *, seed, policy, batch_size, extra, guilty, streams):
        logits = np.random.default_rng(seed).normal(size=(EXITS, IMAGES, 4)) * 2
        self.backend = TimedBackend(logits.astype(np.float32))
        engine = Engine(self.backend, policy, PREPROCESSING)
        self.alone = engine.predict(numbered(range(IMAGES)))
        self.backend.calls.clear()
        self.backend.guilty = guilty
        self.capacity, self.batch_size = batch_size + extra, batch_size
        engines = [engine]
        for _ in range(streams - 1):  # with buffers of its own, but the same clock and calls
            other = copy.copy(self.backend)
            other._buffers = {}
            other.elapse = self.backend.elapse
            engines.append(Engine(other, policy, PREPROCESSING))
        self.scheduler = Scheduler(
            engines, batch_size, self.capacity, max_wait_s=0.005, clock=self.backend.clock
        )
        self.jobs = []
        self.inside, self.ended, self.passed = {}, {}, {}
        self.next = 0

    @precondition(lambda self: self.next < IMAGES and len(self.inside) < self.capacity)
    @rule(seconds=st.sampled_from([0.0, 0.003, 0.02, 0.2, float("inf")]))
    def add(self, seconds):
        deadline = self.backend.now + seconds
        self.scheduler.add(self.next, numbered([self.next])[0], deadline)
        self.inside[self.next] = deadline
        self.next += 1

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def cancel(self, data):
        image = data.draw(st.sampled_from(sorted(self.inside)))
        assert self.scheduler.cancel(image)
        assert not self.scheduler.cancel(image)
        self.ended[image] = "cancelled"
        del self.inside[image]

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.5]))
    def wait(self, seconds):
        self.backend.now += seconds

    @rule()
    def begin(self):
        before = self.backend.now
        for outcome in self.scheduler.out_of_time():
            self.check(outcome, before)
        could = self.scheduler.can_begin
        job = self.scheduler.begin()
        assert (job is not None) == could
        if job is not None:
            self.jobs.append((job, self.backend.now))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def finish(self, data):
        number = data.draw(st.integers(0, len(self.jobs) - 1))
        job, before = self.jobs.pop(number)
        calls = len(self.backend.calls)
        job.run()
        ran = self.backend.calls[calls:]
        assert len({number for number, _ in ran}) == 1  # one stage
        assert all(len(images) <= self.batch_size for _, images in ran)
        for outcome in self.scheduler.finish(job):
            self.check(outcome, before)

    def check(self, outcome, before):
        image = outcome.ticket
        deadline = self.inside[image]
        if outcome.kind == "passed":
            exit_ = self.passed[image] = self.passed.get(image, 0) + 1
            assert outcome.prediction.exit == exit_ < self.alone[image].exit
            return
        self.ended[image] = outcome.kind
        del self.inside[image]
        if outcome.kind == "answered":
            same([outcome.prediction], [self.alone[image]])
        elif outcome.kind == "cut":
            assert outcome.prediction.cut_short
            assert outcome.prediction.exit == self.passed[image]
            assert before + 2 * max(STAGE_S) >= deadline
        elif isinstance(outcome.error, DeadlineError):
            assert image not in self.passed
            assert before >= deadline
        else:
            assert image in self.backend.guilty
            assert str(outcome.error) == "poison"

    @invariant()
    def what_came_in_is_inside_or_has_ended(self):
        if not hasattr(self, "scheduler"):
            return
        assert len(self.scheduler) == len(self.inside) >= sum(self.scheduler.counts)
        assert len(self.inside) + len(self.ended) == self.next

    def teardown(self):
        if not hasattr(self, "scheduler"):
            return
        while len(self.scheduler) or self.jobs:
            self.begin()
            if self.jobs:
                job, before = self.jobs.pop(0)
                job.run()
                for outcome in self.scheduler.finish(job):
                    self.check(outcome, before)
        assert set(self.ended) == set(range(self.next))
        for stage in range(1, EXITS + 1):  # each stage at most once an image
            visits = self.backend.visits(stage)
            assert len(visits) == len(set(visits))


SchedulerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None
)
TestScheduler = SchedulerMachine.TestCase


def test_images_of_all_stages_share_batches():
    backend, scheduler = make([3] * 8, max_wait_s=1)
    add(scheduler, 0, 1)
    scheduler.step()
    add(scheduler, 2, 3)
    run_all(scheduler)
    assert backend.calls == [(1, [0, 1]), (1, [2, 3]), (2, [0, 1, 2, 3]), (3, [0, 1, 2, 3])]


def test_an_image_that_exits_early_overtakes_one_that_came_before():
    _, scheduler = make([3, 1])
    add(scheduler, 0)
    scheduler.step()
    add(scheduler, 1)
    assert ends(run_all(scheduler)) == [(1, "answered"), (0, "answered")]


def test_a_lone_image_waits_for_nothing():
    backend, scheduler = make([3], max_wait_s=100)
    add(scheduler, 0)
    run_all(scheduler)
    assert backend.now == pytest.approx(sum(STAGE_S))


def test_the_deepest_full_batch_runs_first():
    backend, scheduler = make([3] * 12, max_wait_s=1)
    add(scheduler, *range(12))
    run_all(scheduler)
    assert [stage for stage, _ in backend.calls] == [1, 2, 3] * 3


def test_the_image_that_must_start_now_comes_before_a_full_batch():
    backend, scheduler = make([1] * 8 + [2, 2], max_wait_s=1)
    scheduler.warm_up()
    backend.calls.clear()
    add(scheduler, *range(8))
    soon = backend.now + 0.009
    add(scheduler, 8, deadline=soon)  # ninth in its pool, and the only one in a hurry
    scheduler.step()
    assert backend.calls == [(1, [8, 0, 1, 2])]
    scheduler.step()
    assert backend.calls[-1] == (2, [8])


def test_an_image_that_cannot_end_in_time_is_cut_at_once():
    backend, scheduler = make([3])
    scheduler.warm_up()
    backend.calls.clear()
    add(scheduler, 0, deadline=backend.now + STAGE_S[0] + STAGE_S[1] / 2)
    (outcome,) = [each for each in run_all(scheduler) if each.is_last]
    assert (outcome.kind, outcome.prediction.exit) == ("cut", 1)
    assert [stage for stage, _ in backend.calls] == [1]


def test_a_forecast_of_a_slow_moment_is_not_believed_for_ever():
    backend, scheduler = make([2, 2])
    scheduler.warm_up()
    scheduler._times.record(2, 1, 60_000)
    for _ in range(40):
        scheduler._times.record(2, 1, 60_000)
    add(scheduler, 0, deadline=backend.now + 1)
    assert ends(run_all(scheduler)) == [(0, "cut")]
    backend.now += 2
    add(scheduler, 1, deadline=backend.now + 1)
    assert ends(run_all(scheduler)) == [(1, "answered")]


def test_an_image_without_any_answer_at_its_deadline_fails():
    backend, scheduler = make([1])
    add(scheduler, 0, deadline=1.0)
    backend.now = 1.0
    (outcome,) = scheduler.step()
    assert isinstance(outcome.error, DeadlineError)
    assert backend.calls == []


def test_a_cancelled_image_runs_no_further_stage():
    backend, scheduler = make([3, 3])
    add(scheduler, 0, 1)
    scheduler.step()
    assert scheduler.cancel(0)
    assert ends(run_all(scheduler)) == [(1, "answered")]
    assert backend.visits(2) == [1]


def test_only_the_guilty_image_of_a_batch_fails():
    _, scheduler = make([3] * 4, guilty=[2])
    add(scheduler, *range(4))
    outcomes = run_all(scheduler)
    good = [(image, "answered") for image in (0, 1, 3)]
    assert sorted(ends(outcomes)) == sorted([*good, (2, "failed")])
    (failed,) = [outcome for outcome in outcomes if outcome.kind == "failed"]
    assert str(failed.error) == "poison"


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_logits_that_are_not_finite_fail_one_image_at_its_stage(stage):
    backend, scheduler = make([3] * 4)
    backend.logits[stage - 1, 2] = np.nan
    add(scheduler, *range(4))
    outcomes = run_all(scheduler)
    (failed,) = [outcome for outcome in outcomes if outcome.kind == "failed"]
    assert failed.ticket == 2
    assert isinstance(failed.error, PolicyError)
    assert len(ends(outcomes)) == 4


@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 4), seed=st.integers(0, 1000))
def test_nothing_starves_below_full_batches_without_end(batch_size, seed):
    """One image needs all stages while stage 1 is full at every moment."""
    backend, scheduler = make([3] + [1] * 5000, batch_size, capacity=4 * batch_size)
    random = np.random.default_rng(seed)
    add(scheduler, 0)
    following, ended = 1, []
    while (0, "answered") not in ended:
        assert backend.now < 1.0
        room = 4 * batch_size - len(scheduler) - int(random.integers(0, batch_size))
        for _ in range(max(0, room)):
            add(scheduler, following)
            following += 1
        ended += ends(scheduler.step())


def make_two(exits, **options):
    """Return a scheduler of two engines."""
    backend = TimedBackend(logits_that_exit_at(exits))
    engines = [
        Engine(each, threshold_policy(EXITS, 0.9), PREPROCESSING)
        for each in (backend, TimedBackend(backend.logits))
    ]
    return Scheduler(engines, 4, 64, clock=backend.clock, **options)


def test_as_many_batches_run_as_there_are_engines():
    scheduler = make_two([3, 3, 3])
    add(scheduler, 0)
    first = scheduler.begin()
    add(scheduler, 1)
    second = scheduler.begin()
    add(scheduler, 2)
    assert first.engine is not second.engine
    assert not scheduler.can_begin
    assert scheduler.begin() is None
    assert len(scheduler) == 3
    second.run()
    assert [outcome.ticket for outcome in scheduler.finish(second)] == [1]
    assert scheduler.begin().engine is second.engine


def test_an_image_that_is_cancelled_while_it_runs_is_not_answered():
    scheduler = make_two([3, 3])
    add(scheduler, 0, 1)
    job = scheduler.begin()
    with pytest.raises(ValueError, match="use another one"):
        add(scheduler, 0)
    assert scheduler.cancel(0)
    job.run()
    (passed,) = scheduler.finish(job)
    assert (passed.ticket, passed.kind) == (1, "passed")
    assert ends(run_all(scheduler)) == [(1, "answered")]


def test_stop_while_a_batch_runs():
    scheduler = make_two([3])
    add(scheduler, 0)
    job = scheduler.begin()
    assert ends(scheduler.stop()) == [(0, "failed")]
    job.run()
    assert scheduler.finish(job) == []
    assert len(scheduler) == 0


def test_stop_answers_with_what_is_known():
    _, scheduler = make([3, 3])
    add(scheduler, 0)
    scheduler.step()
    add(scheduler, 1)
    outcomes = scheduler.stop()
    assert ends(outcomes) == [(0, "cut"), (1, "failed")]
    assert outcomes[0].prediction.exit == 1
    assert len(scheduler) == 0


def test_the_rate_is_known_after_the_warm_up():
    _, scheduler = make([1], batch_size=4)
    assert scheduler.images_per_second == float("inf")
    scheduler.warm_up()
    assert scheduler.images_per_second == pytest.approx(4 / sum(STAGE_S))


def test_an_engine_with_a_deadline_is_refused():
    backend = TimedBackend(logits_that_exit_at([1]))
    engine = Engine(backend, fixed_exit(EXITS, 1), PREPROCESSING, deadline_ms=5)
    with pytest.raises(UsageError, match="leave the deadline out"):
        Scheduler([engine], 4, 8)
