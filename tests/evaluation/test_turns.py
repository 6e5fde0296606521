"""Works take turns: once each a round, the first one changes, off the clock before on it."""

import time
from collections import Counter
from types import SimpleNamespace

import pytest

from endoexit.evaluation import turns
from endoexit.evaluation.turns import take_turns
from endoexit.progress import silent


def noting(log, name):
    return lambda turn: log.append((turn, name))


def test_the_order_turns_by_one_from_round_to_round():
    log = []
    works = {name: noting(log, name) for name in "abc"}
    with silent("", 4) as bar:
        times = take_turns(works, 4, bar, warm_up=2)
    order = ["".join(name for turn, name in log if turn == number) for number in range(-2, 4)]
    assert order == ["bca", "cab", "abc", "bca", "cab", "abc"]
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4, "c": 4}


def test_each_work_is_done_off_the_clock_right_before_it_counts():
    log = []
    works = {name: noting(log, name) for name in "ab"}
    with silent("", 2) as bar:
        take_turns(works, 2, bar, warm_up=0, untimed=1)
    assert [name for _, name in log] == list("aabbbbaa")


def test_only_the_turn_on_the_clock_counts(monkeypatch):
    seen = Counter()
    clock = SimpleNamespace(ms=0.0, perf_counter=lambda: clock.ms / 1000)
    monkeypatch.setattr(turns, "time", clock)

    def slow_at_first(turn):
        seen[turn] += 1
        clock.ms += 50 if seen[turn] == 1 else 1

    with silent("", 3) as bar:
        times = take_turns({"only": slow_at_first}, 3, bar, warm_up=0, untimed=1)
    assert times["only"] == pytest.approx([1, 1, 1])


def test_another_clock_is_read():
    """On a clock of processor time, a work that sleeps takes none."""
    with silent("", 3) as bar:
        times = take_turns({"asleep": lambda _: time.sleep(0.2)}, 3, bar, clock=time.process_time)
    assert max(times["asleep"]) < 100


@pytest.mark.parametrize("rounds", [1, 5])
def test_progress_counts_rounds_that_count(rounds):
    counts = []

    class Bar:
        def advance(self, count=1):
            counts.append(count)

    take_turns({"a": noting([], "a")}, rounds, Bar())
    assert sum(counts) == rounds
