"""Times: in turn, after a warm-up, of the stages that an image really needs."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from endoexit.evaluation import turns
from endoexit.evaluation.document import Time
from endoexit.evaluation.latency import Contender, measure_run, mix, summarise
from endoexit.evaluation.turns import WARM_UP, take_turns
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.progress import silent
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import open_session


@pytest.fixture
def clock(monkeypatch):
    """A clock that only stages move."""
    fake = SimpleNamespace(ms=0.0, perf_counter=lambda: fake.ms / 1000)
    monkeypatch.setattr(turns, "time", fake)
    return fake


class Sleeper:
    """A backend whose stages take a known time and answer at random; it notes who ran."""

    precision, threads = "sleep", 1

    def __init__(self, name: str, clock: SimpleNamespace | None, log: list[str]) -> None:
        self.name, self.clock, self.log = name, clock, log
        self.num_stages = 2

    def start(self, images):
        self.log.append(self.name)
        return images

    def prepare(self, number, state):
        """Nothing is compiled."""

    def run(self, number, state):
        if self.clock is not None:
            self.clock.ms += (4, 12)[number - 1]
        return state, np.zeros((len(state), 3), np.float32)


def sleeper(
    name: str, number: int, log: list[str], clock: SimpleNamespace | None = None
) -> Contender:
    backend = Sleeper(name, clock, log)
    images = np.zeros((2, 32, 32, 3), np.uint8)
    return Contender(Engine(backend, fixed_exit(2, number), Preprocessing(size=32)), images)


def test_contenders_take_turns_and_the_warm_up_does_not_count(clock):
    log: list[str] = []
    contenders = {
        "first": sleeper("first", 1, log, clock), "last": sleeper("last", 2, log, clock)
    }  # fmt: skip
    with silent("", 5) as bar:
        times = take_turns({name: each.answer for name, each in contenders.items()}, 5, bar)
    assert len(log) == 2 * (5 + WARM_UP)
    rounds = [tuple(log[start : start + 2]) for start in range(0, len(log), 2)]
    assert all(sorted(pair) == ["first", "last"] for pair in rounds)  # one each a round
    assert {pair[0] for pair in rounds} == {"first", "last"}  # who starts changes
    summary = summarise(times)
    assert summary["first"].runs == summary["last"].runs == 5
    assert (summary["first"].ms, summary["last"].ms) == pytest.approx((4, 16))


def test_progress_counts_rounds_without_the_warm_up():
    counts = []

    class Bar:
        def advance(self, count: int = 1) -> None:
            counts.append(count)

    take_turns({"only": sleeper("only", 1, []).answer}, 4, Bar())
    assert sum(counts) == 4


def test_the_median_ignores_a_hiccup():
    summary = summarise({"exit 1": [5.0, 6.0, 500.0, 5.5, 5.2]})["exit 1"]
    assert (summary.ms, summary.runs) == (5.5, 5)
    assert summary.low_ms < 5.2
    assert summary.high_ms > 100


def test_the_adaptive_time_is_the_mean_over_the_images():
    quick = Time(ms=10, low_ms=9, high_ms=11, runs=30)
    slow = Time(ms=40, low_ms=38, high_ms=45, runs=30)
    assert mix([(quick, 3), (slow, 1)]) == Time(ms=17.5, low_ms=9, high_ms=45, runs=60)
    assert mix([(quick, 1), (quick, 1)]).ms == 10
    assert mix([]) is None


def test_a_run_is_measured_stage_by_stage(run, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    stages: Counter[int] = Counter()
    original = TorchBackend.run

    def counting(self, number, state):
        stages[number] += 1
        return original(self, number, state)

    monkeypatch.setattr(TorchBackend, "run", counting)
    before = torch.get_num_threads()
    nobody = threshold_policy(4, 1.0)
    latencies = measure_run(
        open_session(run, threads=1),
        images,
        policy=nobody,
        exits=np.full(6, 4),
        twin=(open_session(run, threads=1), images),
        rounds=9,
    )
    turns = 9 + WARM_UP
    # Exit k runs stages 1 to k; the adaptive rule and the twin run all four.
    assert stages == {1: 6 * turns, 2: 5 * turns, 3: 4 * turns, 4: 3 * turns}
    assert torch.get_num_threads() == before
    assert latencies.timing.threads == 1
    assert latencies.timing.precision == "torch-f32"
    assert latencies.timing.size == 64
    assert latencies.timing.machine["processor"]
    assert len(latencies.exits) == 4
    assert latencies.twin is not None
    assert latencies.adaptive is not None


def test_images_are_timed_at_the_exit_where_they_leave(run, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)
    stages: Counter[int] = Counter()
    original = TorchBackend.run

    def counting(self, number, state):
        stages[number] += 1
        return original(self, number, state)

    everybody = threshold_policy(4, 0.0)
    fixed = measure_run(open_session(run, threads=1), images, rounds=3)
    assert fixed.adaptive is None
    monkeypatch.setattr(TorchBackend, "run", counting)
    measure_run(
        open_session(run, threads=1),
        images,
        policy=everybody,
        exits=np.ones(10, dtype=int),
        rounds=3,
    )
    assert stages[1] - stages[2] == 2 * (3 + WARM_UP)  # exit 1, and the adaptive rule
