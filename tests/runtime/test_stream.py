import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_backend import POLICIES, PREPROCESSING, TableBackend, numbered, same, tables

from endoexit.errors import UsageError
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.runtime.engine import Engine
from endoexit.runtime.stream import BatchByBatch, Stream, predict_stream


def engine_for(logits, policy):
    return Engine(TableBackend(logits), policy, PREPROCESSING)


@given(
    logits=tables,
    policy=st.sampled_from(POLICIES),
    batch_size=st.integers(1, 8),
    extra=st.integers(0, 9),
    flushes=st.sets(st.integers(0, 19)),
)
def test_a_stream_answers_in_order_like_one_by_one(logits, policy, batch_size, extra, flushes):
    images = numbered(range(logits.shape[1]))
    engine = engine_for(logits, policy)
    alone = [engine.predict(images[i : i + 1])[0] for i in range(len(images))]
    stream = Stream(engine, batch_size, window=batch_size + extra)
    answers = []
    for number, image in enumerate(images):
        answers += stream.add(image)
        assert stream.inside < batch_size + extra
        if number in flushes:
            answers += stream.flush()
            assert stream.inside == 0
            same(answers, alone[: number + 1])
    same(answers + stream.flush(), alone)


def half_sure(count, stages=3):
    """Every second image leaves at each exit."""
    logits = np.zeros((stages, count, 2))
    for stage in range(stages):
        step = 2 ** (stage + 1)
        logits[stage, np.arange(count) % step == step // 2 - 1, 0] = 9.0
    return logits


def test_survivors_wait_until_the_next_stage_has_a_full_batch():
    backend = TableBackend(half_sure(64))
    stream = Stream(Engine(backend, threshold_policy(3, 0.9), PREPROCESSING), 8, window=1000)
    answers = [answer for image in numbered(range(64)) for answer in stream.add(image)]
    answers += stream.flush()
    assert [len(images) for stage, images in backend.calls if stage == 1] == [8] * 8
    assert [len(images) for stage, images in backend.calls if stage == 2] == [8] * 4
    assert [len(images) for stage, images in backend.calls if stage == 3] == [8] * 2
    assert [answer.exit for answer in answers[:8]] == [1, 2, 1, 3, 1, 2, 1, 3]


def test_no_image_waits_for_more_than_the_window():
    # Image 0 alone stays in; all the others leave at exit 1.
    logits = np.zeros((2, 100, 2))
    logits[0, 1:, 0] = 9.0
    backend = TableBackend(logits)
    stream = Stream(Engine(backend, threshold_policy(2, 0.9), PREPROCESSING), 4, window=20)
    given = []
    for image in numbered(range(20)):
        assert not given
        given += stream.add(image)
    assert [answer.exit for answer in given] == [2] + [1] * 19
    assert backend.visits(2) == [0]


def test_what_waits_is_bounded():
    waiting = []

    class Watched(TableBackend):
        def concatenate(self, states):
            waiting.append(sum(map(len, states)))
            return super().concatenate(states)

    generator = np.random.default_rng(0)
    backend = Watched(generator.normal(size=(4, 1000, 3)) * 2)
    engine = Engine(backend, threshold_policy(4, 0.8), PREPROCESSING)
    stream = Stream(engine, 8, window=64)
    for image in numbered(range(1000)):
        stream.add(image)
        assert stream.inside < 64
        assert all(count < 16 for count in stream._pools.counts)
    assert max(waiting) <= 8


def test_a_broken_stream_is_answered_up_to_the_break():
    def breaking():
        yield from numbered(range(5))
        raise ConnectionError("the camera was unplugged")

    answers = []
    stream = predict_stream(
        engine_for(half_sure(5), threshold_policy(3, 0.9)), breaking(), batch_size=4
    )
    with pytest.raises(ConnectionError, match="unplugged"):
        answers.extend(stream)
    assert [answer.exit for answer in answers] == [1, 2, 1, 3, 1]


def test_an_empty_stream():
    assert list(predict_stream(engine_for(half_sure(1), fixed_exit(3, 1)), [], 4)) == []


def test_a_stream_may_be_left_before_its_end():
    answers = predict_stream(
        engine_for(half_sure(9), threshold_policy(3, 0.9)), numbered(range(9)), batch_size=2
    )
    assert next(answers).exit == 1
    answers.close()


def test_a_deadline_and_waiting_for_others_exclude_each_other():
    engine = Engine(TableBackend(half_sure(1)), fixed_exit(3, 3), PREPROCESSING, deadline_ms=9.0)
    with pytest.raises(UsageError, match="leave the deadline out"):
        Stream(engine, 4)


@pytest.mark.parametrize("make", [Stream, BatchByBatch])
def test_a_batch_holds_an_image(make):
    with pytest.raises(UsageError, match="at least 1, got 0"):
        make(engine_for(half_sure(1), fixed_exit(3, 3)), 0)


def test_a_window_holds_a_batch():
    with pytest.raises(UsageError, match="must be room for a batch of 4, got 3"):
        Stream(engine_for(half_sure(1), fixed_exit(3, 3)), 4, window=3)


def test_batches_run_when_they_are_full():
    backend = TableBackend(half_sure(5))
    batches = BatchByBatch(Engine(backend, fixed_exit(3, 1), PREPROCESSING), 2)
    given = [len(batches.add(image)) for image in numbered(range(5))]
    assert given == [0, 2, 0, 2, 0]
    assert batches.inside == 1
    assert len(batches.flush()) == 1
    assert batches.flush() == []
    assert [len(images) for _, images in backend.calls] == [2, 2, 1]


@pytest.mark.parametrize("make", [Stream, BatchByBatch])
def test_the_backend_hears_the_size_of_the_batches(make):
    backend = TableBackend(half_sure(1))
    make(Engine(backend, fixed_exit(3, 3), PREPROCESSING), 24)
    assert backend.expected == {24}
