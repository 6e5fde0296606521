"""Images that wait for a stage: none lost, none twice, bounds kept, the same answers as alone."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from table_backend import POLICIES, PREPROCESSING, TableBackend, numbered, same

from endoexit.errors import DataError, PolicyError, UsageError
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.runtime.engine import Engine
from endoexit.runtime.pools import Pools

IMAGES = 40


class PoolsMachine(RuleBasedStateMachine):
    """Adds, removes and runs in any order; a model counts what must be inside."""

    @initialize(
        seed=st.integers(0, 2**16),
        policy=st.sampled_from(POLICIES),
        batch_size=st.integers(1, 5),
        extra=st.integers(0, 6),
    )
    def start(self, seed, policy, batch_size, extra):
        logits = np.random.default_rng(seed).normal(size=(3, IMAGES, 4)) * 2
        self.backend = TableBackend(logits.astype(np.float32))
        engine = Engine(self.backend, policy, PREPROCESSING)
        self.alone = engine.predict(numbered(range(IMAGES)))
        self.backend.calls.clear()
        self.batch_size, self.capacity = batch_size, batch_size + extra
        self.pools = Pools(engine, batch_size, self.capacity)
        self.waiting = {}  # by ticket, in the order of coming: the stage that it waits for
        self.answered = set()
        self.removed_before = {}
        self.next = 0

    @precondition(lambda self: self.next < IMAGES and len(self.waiting) < self.capacity)
    @rule()
    def add(self):
        self.pools.add(self.ticket(self.next), numbered([self.next])[0])
        self.waiting[self.next] = 1
        self.next += 1

    @precondition(lambda self: len(self.waiting) == self.capacity)
    @rule()
    def a_full_one_refuses(self):
        with pytest.raises(ValueError, match=f"full with {self.capacity} images"):
            self.pools.add("another", numbered([0])[0])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data):
        image = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.pools.remove(self.ticket(image))
        assert not self.pools.remove(self.ticket(image))
        self.removed_before[image] = self.waiting.pop(image)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), stage=st.integers(1, 3))
    def promote(self, data, stage):
        there = sorted(image for image, at in self.waiting.items() if at == stage)
        chosen = data.draw(st.lists(st.sampled_from(there), unique=True)) if there else []
        self.pools.promote([self.ticket(image) for image in chosen])
        if not chosen:
            return
        calls = len(self.backend.calls)
        self.run(stage)
        ((_, images),) = self.backend.calls[calls:]
        first = chosen[: self.batch_size]
        assert images[: len(first)] == first

    @rule(stage=st.integers(1, 3))
    def run(self, stage):
        calls = len(self.backend.calls)
        count = self.pools.counts[stage - 1]
        answers = self.pools.run(stage)
        ran = self.backend.calls[calls:]
        if count == 0:
            assert (answers, ran) == ({}, [])
            return
        ((number, images),) = ran
        assert (number, len(images)) == (stage, min(count, self.batch_size))
        assert all(self.waiting.pop(image) == stage for image in images)
        exiting = [image for image in images if self.alone[image].exit == stage]
        assert list(answers) == [self.ticket(image) for image in exiting]
        same(list(answers.values()), [self.alone[image] for image in exiting])
        assert not self.answered & set(exiting)
        self.answered |= set(exiting)
        self.waiting |= dict.fromkeys(
            (image for image in images if image not in self.answered), stage + 1
        )

    @rule()
    def run_the_deepest(self):
        counts = self.pools.counts
        full = [stage for stage in (1, 2, 3) if counts[stage - 1] >= self.batch_size]
        some = [stage for stage in (1, 2, 3) if counts[stage - 1]]
        assert self.pools.deepest_full() == max(full, default=None)
        assert self.pools.deepest() == max(some, default=None)
        if some:
            self.run(max(full or some))

    @invariant()
    def every_image_is_in_one_place(self):
        stages = list(self.waiting.values())
        assert self.pools.counts == tuple(stages.count(stage) for stage in (1, 2, 3))
        assert len(self.pools) == len(stages) <= self.capacity
        assert self.pools.is_full == (len(stages) == self.capacity)
        for image in range(IMAGES):
            assert (self.ticket(image) in self.pools) == (image in self.waiting)
        assert all(
            self.pools.stage_of(self.ticket(image)) == at for image, at in self.waiting.items()
        )

    def teardown(self):
        if not hasattr(self, "pools"):
            return
        while (stage := self.pools.deepest()) is not None:
            self.run(stage)
        assert self.answered == set(range(self.next)) - set(self.removed_before)
        for stage in (1, 2, 3):  # no stage ran twice for an image, or after its removal
            expected = {image for image in self.answered if self.alone[image].exit >= stage}
            expected |= {image for image, at in self.removed_before.items() if at > stage}
            assert sorted(self.backend.visits(stage)) == sorted(expected)

    @staticmethod
    def ticket(image):
        return f"image {image}"


PoolsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_any_sequence = PoolsMachine.TestCase


def pools_of(policy=None, *, images=8, batch_size=4, capacity=8):
    backend = TableBackend(np.zeros((3, images, 2)))
    return Pools(Engine(backend, policy or fixed_exit(3, 3), PREPROCESSING), batch_size, capacity)


def fill(pools, images):
    for image in images:
        pools.add(image, numbered([image])[0])


def test_the_first_to_come_run_first():
    pools = pools_of(fixed_exit(3, 2))
    fill(pools, [5, 2, 7, 1, 6, 0])
    assert list(pools.run(1)) == []
    assert pools.counts == (2, 4, 0)
    assert list(pools.run(2)) == [5, 2, 7, 1]
    assert pools.run(2) == {}
    assert list(pools.run(1)) == []
    assert list(pools.run(2)) == [6, 0]
    assert len(pools) == 0


def test_a_batch_is_made_of_several_smaller_ones():
    pools = pools_of(fixed_exit(3, 2), batch_size=3)
    for images in ([0, 1], [2, 3]):
        fill(pools, images)
        pools.run(1)
    assert list(pools.run(2)) == [0, 1, 2]
    assert list(pools.run(2)) == [3]


def test_two_images_may_not_share_a_ticket():
    pools = pools_of()
    fill(pools, [3])
    with pytest.raises(ValueError, match="ticket 3 is inside: use another"):
        fill(pools, [3])
    pools.remove(3)
    fill(pools, [3])
    assert pools.counts == (1, 0, 0)


@pytest.mark.parametrize("image", [np.zeros((9, 8, 3), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_an_image_that_was_not_prepared_is_refused_before_it_joins_others(image):
    pools = pools_of()
    with pytest.raises(DataError, match=r"uint8 array \(8, 8, 3\).*apply\(\)"):
        pools.add("ticket", image)
    assert len(pools) == 0


def test_a_batch_that_fails_leaves_and_the_others_stay():
    logits = np.zeros((2, 4, 2))
    logits[0, 1] = np.nan
    pools = Pools(Engine(TableBackend(logits), threshold_policy(2, 0.9), PREPROCESSING), 2, 4)
    fill(pools, range(4))
    with pytest.raises(PolicyError, match="NaN"):
        pools.run(1)
    assert [image in pools for image in range(4)] == [False, False, True, True]
    assert pools.counts == (2, 0)
    pools.run(1)
    assert sorted(pools.run(2)) == [2, 3]


def test_an_unknown_ticket_waits_for_no_stage():
    pools = pools_of()
    assert not pools.remove("nobody")
    with pytest.raises(KeyError):
        pools.stage_of("nobody")


def test_the_backend_hears_the_size_of_the_batches():
    backend = TableBackend(np.zeros((3, 1, 2)))
    Pools(Engine(backend, fixed_exit(3, 3), PREPROCESSING), 24, 30)
    assert backend.expected == {24}


@pytest.mark.parametrize(
    ("batch_size", "capacity", "message"), [(0, 4, "at least 1, got 0"), (4, 3, "of 4, got 3")]
)
def test_numbers_are_checked(batch_size, capacity, message):
    with pytest.raises(UsageError, match=message):
        pools_of(batch_size=batch_size, capacity=capacity)


def test_a_deadline_and_waiting_for_others_exclude_each_other():
    engine = Engine(TableBackend(np.zeros((2, 1, 2))), fixed_exit(2, 2), PREPROCESSING, 9.0)
    with pytest.raises(UsageError, match="leave the deadline out"):
        Pools(engine, 4, 8)
