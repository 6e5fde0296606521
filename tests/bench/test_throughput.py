"""Batches: which images, in what mode, and whose time the overhead is."""

from types import SimpleNamespace

import numpy as np
import pytest

from endoexit.bench import throughput
from endoexit.bench.throughput import MeteredEngine, Pass, measure_throughput
from endoexit.evaluation import turns
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.progress import silent
from endoexit.runtime import engine as engines
from endoexit.runtime.engine import Engine

STAGE_MS = 20


@pytest.fixture
def clock(monkeypatch):
    """A clock that only what is measured moves."""
    fake = SimpleNamespace(ms=0.0, perf_counter=lambda: fake.ms / 1000)
    monkeypatch.setattr(throughput, "time", fake)
    monkeypatch.setattr(turns, "time", fake)
    return fake


class Sleeper:
    """Two stages that take a time; images brighter than half are sure at exit 1."""

    precision, threads, num_stages = "sleep", 1, 2

    def __init__(self, clock):
        self.batches = []
        self.clock = clock

    def expect(self, images):
        self.expected = images

    def prepare(self, number, state):
        pass

    def start(self, images):
        return images.mean(axis=(1, 2, 3))

    def run(self, number, state):
        self.clock.ms += STAGE_MS
        self.batches.append((number, len(state)))
        sure = np.where(state > 0, 20, 0)
        return state, np.stack([sure, np.zeros_like(sure)], axis=1).astype(np.float32)

    def gather(self, state, rows):
        return state[rows]

    def concatenate(self, states):
        return np.concatenate(states)


def engine(policy, clock):
    return Engine(Sleeper(clock), policy, Preprocessing(size=32))


def photos(*levels):
    return np.stack([np.full((32, 32, 3), level, np.uint8) for level in levels])


def test_the_overhead_is_what_is_left_of_an_images_time(clock, monkeypatch):
    timed = engine(fixed_exit(2, 2), clock)
    gather = Engine.predict

    def with_bookkeeping(self, images):
        clock.ms += 3
        return gather(self, images)

    monkeypatch.setattr(Engine, "predict", with_bookkeeping)
    step = Pass(timed, photos(200), batch=1, length=2)
    for turn in range(5):
        step(turn)
    assert len(timed.backend.batches) == 5 * 4
    assert step.overhead_ms == pytest.approx([3] * 5)  # the stages take 40 ms an image


def test_time_that_the_policy_takes_is_overhead(clock, monkeypatch):
    timed = engine(threshold_policy(2, 0.9), clock)
    original = engines.leaves_alone

    def slow(*arguments):
        clock.ms += 30
        return original(*arguments)

    monkeypatch.setattr(engines, "leaves_alone", slow)
    step = Pass(timed, photos(200), batch=1, length=1)  # leaves at exit 1: one decision
    for turn in range(5):
        step(turn)
    assert step.overhead_ms == pytest.approx([30] * 5)


def test_time_in_which_images_are_normalised_is_no_overhead(clock, monkeypatch):
    timed = engine(fixed_exit(2, 1), clock)
    original = Preprocessing.normalise

    def slow(self, images):
        clock.ms += 7
        return original(self, images)

    monkeypatch.setattr(Preprocessing, "normalise", slow)
    step = Pass(timed, photos(200), batch=1, length=1)
    step(0)
    assert step.overhead_ms == pytest.approx([0])


def test_a_metered_engine_answers_the_same(clock):
    plain = engine(threshold_policy(2, 0.9), clock)
    images = photos(10, 200, 30)
    exits = [answer.exit for answer in plain.predict(images)]
    assert exits == [answer.exit for answer in MeteredEngine(plain).predict(images)] == [2, 1, 2]


def test_the_slice_moves_on_with_the_turn(clock):
    seen = []
    timed = engine(fixed_exit(2, 1), clock)
    timed.backend.start = lambda images: seen.append(images.mean().round(2)) or images[:, 0, 0, 0]
    levels = (0, 51, 102, 153, 204)
    step = Pass(timed, photos(*levels), batch=1, length=2)
    for turn in range(3):
        step(turn)
    expected = [round(2 * level / 255 - 1, 2) for level in (0, 51, 102, 153, 204, 0)]
    assert seen == pytest.approx(expected)


def test_the_gain_is_images_a_second_with_the_policy_over_without(clock):
    timed = engine(threshold_policy(2, 0.9), clock)
    (stream,) = measure_throughput(
        timed, photos(200, 210, 220, 230), (4,), rounds=2, track=silent, length=4
    )
    # All leave at exit 1, so one stage in place of two.
    assert stream.gain.median == pytest.approx(2)
    assert stream.per_second.median == pytest.approx(4 / (STAGE_MS / 1000))
    assert (stream.batch, stream.images, stream.rounds) == (4, 4, 2)
    assert (stream.gain.name, stream.gain.to) == ("policy", "final exit")


def test_without_a_policy_there_is_no_gain(clock):
    (stream,) = measure_throughput(
        engine(fixed_exit(2, 2), clock), photos(9), (2,), rounds=2, track=silent, length=2
    )
    assert stream.gain is None
    assert stream.per_second is None
