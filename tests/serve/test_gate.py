"""Admission: bounds kept, nothing counted twice, waiting requests served in their turn."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from endoexit.serve.gate import Gate, Rate
from endoexit.serve.metrics import Metrics
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

ENDINGS = ("answered", "cut", "failed", "cancelled")


def make(rate=1e9, **limits):
    values = {"images_inside": 4, "bytes_in_flight": 1000, "body_bytes": 500} | limits
    return Gate(Limits(**values), Metrics(), Rate(rate))


class GateMachine(RuleBasedStateMachine):
    """Requests of three clients come, ask for more images, and end in any order."""

    @initialize(images=st.integers(1, 6), share=st.sampled_from([0.25, 0.5, 1.0]))
    def start(self, images, share):
        self.loop = asyncio.new_event_loop()
        self.gate = make(images_inside=images, client_share=share)
        self.metrics = self.gate._metrics
        self.slots = []
        self.waiting = []

    @rule(client=st.sampled_from("abc"), length=st.sampled_from([None, 0, 10, 300, 501]))
    def enter(self, client, length):
        before, refusal = (self.gate.images, self.gate._bytes), None
        try:
            self.slots.append(self.gate.enter(client, length, 1.0))
        except Problem as problem:
            refusal = problem
        assert (refusal is not None and refusal.code == "body.too_large") == (length == 501)
        if refusal is not None:
            assert (self.gate.images, self.gate._bytes) == before
            assert length == 501 or (refusal.status == 429 and 1 <= refusal.retry_after <= 30)

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def more(self, data):
        slot = data.draw(st.sampled_from(self.slots))
        self.waiting.append((slot, self.loop.create_task(self.gate.more(slot))))
        self.turn()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        _, task = data.draw(st.sampled_from(self.waiting))
        task.cancel()
        self.turn()

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
    def leave(self, data, ending):
        slot = data.draw(st.sampled_from(self.slots))
        if slot.images:
            self.gate.leave(slot, ending)
        self.turn()

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def close(self, data):
        slot = data.draw(st.sampled_from(self.slots))
        for waiting_slot, task in self.waiting:
            if waiting_slot is slot:
                task.cancel()
        self.turn()
        self.gate.close(slot)
        self.slots.remove(slot)
        self.turn()

    def turn(self):
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.waiting = [(slot, task) for slot, task in self.waiting if not task.done()]

    @invariant()
    def bounds_and_counts(self):
        if not hasattr(self, "gate"):
            return
        gate, value = self.gate, self.metrics.registry.get_sample_value
        assert gate.images == sum(slot.images for slot in self.slots) <= gate.limits.images_inside
        assert gate._bytes == sum(slot.length for slot in self.slots) <= 1000
        ended = sum(value("endoexit_images_total", {"outcome": ending}) for ending in ENDINGS)
        inside = value("endoexit_inside_images")
        assert value("endoexit_accepted_images_total") == ended + inside
        assert inside == gate.images
        if self.waiting:  # a place is never free while a request waits for one
            assert gate.images == gate.limits.images_inside

    def teardown(self):
        if not hasattr(self, "gate"):
            return
        for _, task in self.waiting:
            task.cancel()
        self.turn()
        for slot in list(self.slots):
            self.gate.close(slot)
        assert (self.gate.images, self.gate._bytes, len(self.gate._clients)) == (0, 0, 0)
        self.loop.close()


GateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGate = GateMachine.TestCase


def test_a_client_may_have_all_while_it_is_alone():
    gate = make()
    for _ in range(4):
        gate.enter("a", 1, 1.0)
    with pytest.raises(Problem) as caught:
        gate.enter("b", 1, 1.0)
    assert caught.value.code == "full"


def test_a_client_has_its_share_while_others_have_any():
    gate = make()
    gate.enter("b", 1, 1.0)
    gate.enter("a", 1, 1.0)
    gate.enter("a", 1, 1.0)
    with pytest.raises(Problem) as caught:
        gate.enter("a", 1, 1.0)
    assert (caught.value.code, caught.value.limit) == ("client.share", ("client_share", 0.5))
    gate.enter("b", 1, 1.0)


def test_a_body_of_unknown_length_takes_the_most():
    gate = make()
    gate.enter("a", None, 1.0)
    gate.enter("b", None, 1.0)
    with pytest.raises(Problem) as caught:
        gate.enter("c", 1, 1.0)
    assert caught.value.limit == ("bytes_in_flight", 1000)


def test_what_would_be_answered_too_late_does_not_come_in():
    gate = make(rate=10.0)
    gate.enter("a", 1, 1.0)
    with pytest.raises(Problem) as caught:
        gate.enter("b", 1, 0.05)
    assert caught.value.limit == ("images_a_second", 10.0)
    gate.enter("b", 1, 0.2)


@pytest.mark.parametrize(("rate", "seconds"), [(1e9, 1), (2.0, 2), (0.01, 30)])
def test_retry_after_is_the_time_of_what_is_inside(rate, seconds):
    gate = make(rate=rate)
    for _ in range(4):
        gate.enter("a", 1, 1e9)
    assert gate.retry_after() == seconds


def test_the_rate_is_measured_while_there_is_work():
    now = [0.0]
    rate = Rate(100.0, lambda: now[0])
    assert rate.images_per_second == 100
    for _ in range(400):
        rate.begin()
        now[0] += 0.05
        rate.end(empty=True)
        now[0] += 100  # idle
    assert rate.images_per_second == pytest.approx(20, rel=0.2)
