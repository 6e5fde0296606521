"""The pace of refusals."""

import asyncio
import time

import pytest

from endoexit.serve.refusals import Refusals


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_refusals_of_a_crowd_are_spread_and_wait_no_longer_than_the_longest():
    refusals = Refusals(per_second=10, longest_s=0.5, clock=Clock())
    waits = [refusals.wait_s() for _ in range(9)]
    assert waits == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5])


def test_a_refusal_on_its_own_never_waits():
    clock = Clock()
    refusals = Refusals(per_second=10, clock=clock)
    for _ in range(5):
        assert refusals.wait_s() == 0
        clock.now += 0.2


def test_the_pace_recovers_after_a_crowd():
    clock = Clock()
    refusals = Refusals(per_second=10, longest_s=0.5, clock=clock)
    for _ in range(1000):
        refusals.wait_s()
    clock.now += 0.7
    assert refusals.wait_s() == 0


def test_a_turn_waits():
    async def turns():
        refusals = Refusals(per_second=20)
        begin = time.monotonic()
        await asyncio.gather(*(refusals.turn() for _ in range(4)))
        return time.monotonic() - begin

    assert asyncio.run(turns()) >= 0.14
