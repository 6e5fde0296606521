import threading
import time

import pytest

from endoexit.runtime.prefetch import Prefetch


def values(items, load, *, threads=2, ahead=4, idle_s=30.0):
    with Prefetch(items, load, threads, ahead) as prefetch:
        yield from prefetch.values(idle_s)
        prefetch.check()


def test_values_come_in_the_order_of_the_items():
    def load(number):
        time.sleep(0.002 if number % 3 == 0 else 0)
        return number * 10

    assert list(values(range(50), load)) == list(range(0, 500, 10))


def test_nobody_reads_further_ahead_than_allowed():
    taken, furthest = 0, []
    lock = threading.Lock()

    def source():
        nonlocal taken
        for number in range(60):
            with lock:
                taken = number + 1
            yield number

    for given, _ in enumerate(values(source(), lambda number: number, ahead=4), start=1):
        time.sleep(0.001)
        with lock:
            furthest.append(taken - given)
    # Four in the queue, one just asked for, one in the feeder's hand.
    assert 0 < max(furthest) <= 6


def test_a_source_that_breaks_off_ends_the_values_and_is_told_afterwards():
    def source():
        yield 1
        yield 2
        raise ValueError("no more")

    stream = values(source(), str)
    assert [next(stream), next(stream)] == ["1", "2"]
    with pytest.raises(ValueError, match="no more"):
        next(stream)


def test_a_source_that_waits_is_noticed():
    go = threading.Event()

    def source():
        yield 1
        go.wait(30)
        yield 2

    seen = []
    for value in values(source(), lambda number: number, idle_s=0.01):
        seen.append(value)
        if value is None:
            go.set()
    assert seen[0] == 1
    assert None in seen
    assert seen[-1] == 2


def test_leaving_early_stops_the_threads():
    def endless():
        number = 0
        while True:
            yield number
            number += 1

    def new() -> set[threading.Thread]:
        return set(threading.enumerate()) - before

    before = set(threading.enumerate())  # threads of other tests may still be ending
    with Prefetch(endless(), str, threads=2, ahead=3) as prefetch:
        assert next(prefetch.values(30.0)) == "0"
    deadline = time.monotonic() + 10
    while new() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert new() == set()
