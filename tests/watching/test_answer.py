"""Frames to rows: with all rules off bit for bit as predicted, else what each rule changes."""

import numpy as np
import pytest

from endoexit.images.video.clip import ClipFrame
from endoexit.policy.temporal.settings import ALL_OFF, ExitMemory, Reuse, TemporalSettings
from endoexit.policy.temporal.watch import Watch
from endoexit.runtime.session import open_session
from endoexit.watching.answer import answer_frames
from phantom_clips import pan
from tiny import tiny_photos


def frames(squares):
    return [ClipFrame(at, at / 25, square, None) for at, square in enumerate(squares)]


def rows(session, settings, squares):
    watch = Watch(settings, session.engine.policy)
    return [row for row, _ in answer_frames(session.engine, watch, frames(squares))]


@pytest.fixture(scope="module")
def views():
    """Slow moves over two views: one nearly exits at exit 1, the other is far from it."""
    return [*pan("esophagitis", 12, side=32), *pan("polyps", 12, side=32)]


def test_with_all_rules_off_the_answers_are_those_of_predict_bit_for_bit(tiny_session):
    squares = list(tiny_photos())
    answered = rows(tiny_session, ALL_OFF, squares)
    engine = tiny_session.engine
    assert len({row.prediction.exit for row in answered}) > 1
    for row, square in zip(answered, squares, strict=True):
        (expected,) = engine.predict(square[None])
        assert row.prediction.label == expected.label == row.shown
        assert row.prediction.exit == expected.exit
        assert row.prediction.probabilities.tobytes() == expected.probabilities.tobytes()
        assert len(row.prediction.stage_ms) == expected.exit
        assert not (row.reused)
        assert not (row.remembered)
        assert not (row.dropped)
        assert not (row.blind)


def test_evidence_changes_what_is_shown_and_no_answer(tiny_session):
    squares = list(tiny_photos())
    plain = rows(tiny_session, ALL_OFF, squares)
    smooth = rows(tiny_session, ALL_OFF.switched({"evidence": True}), squares)
    for before, after in zip(plain, smooth, strict=True):
        assert before.prediction.probabilities.tobytes() == after.prediction.probabilities.tobytes()
    assert [row.shown for row in plain] != [row.shown for row in smooth]


def test_reused_answers_are_those_of_the_last_computed_frame(tiny_session):
    square = pan("polyps", 1, side=32)[0]
    answered = rows(tiny_session, ALL_OFF.replaced(reuse=Reuse(frames=10)), [square] * 25)
    assert [row.index for row in answered if not row.reused] == [0, 10, 20]
    for row in answered:
        assert row.prediction.label == answered[0].prediction.label
        assert row.prediction.exit == answered[0].prediction.exit
        assert row.stages == (0 if row.reused else row.prediction.exit)
        assert bool(row.prediction.stage_ms) is not row.reused


def test_blind_frames_are_not_computed(tiny_session):
    black = np.zeros((32, 32, 3), np.uint8)
    answered = rows(tiny_session, TemporalSettings(), [*pan("polyps", 3, side=32), black, black])
    assert [row.blind for row in answered[3:]] == ["dark", "dark"]
    assert all(row.prediction is None and row.stages == 0 for row in answered[3:])
    assert answered[4].shown == answered[2].shown


def test_memory_lets_images_exit_earlier_and_skips_no_stage(tiny_session, views):
    session = open_session(tiny_session.source, threshold=0.9, threads=1)
    plain = rows(session, ALL_OFF, views)
    settings = ALL_OFF.replaced(exit_memory=ExitMemory(slack=0.1))
    helped = rows(session, settings, views)
    assert [row.index for row in helped if row.remembered] == list(range(2, 12))
    assert {row.prediction.exit for row in plain} == {2}
    for before, after in zip(plain, helped, strict=True):
        assert after.prediction.exit <= before.prediction.exit
        if not after.remembered:
            assert after.prediction.exit == before.prediction.exit
            assert (
                after.prediction.probabilities.tobytes()
                == before.prediction.probabilities.tobytes()
            )
        assert len(after.prediction.stage_ms) == after.prediction.exit
    assert sum(row.stages for row in helped) < sum(row.stages for row in plain)


def test_dropped_frames_have_a_row_and_change_nothing(tiny_session):
    squares = pan("polyps", 4, side=32)
    watch = Watch(TemporalSettings(), tiny_session.engine.policy)
    coming = frames(squares)
    coming[2] = ClipFrame(2, 2 / 25, None, None)
    answered = [row for row, _ in answer_frames(tiny_session.engine, watch, coming)]
    assert [row.dropped for row in answered] == [False, False, True, False]
    assert answered[2].prediction is None
    assert answered[2].shown == answered[1].shown


def test_a_live_frame_has_the_time_from_when_it_was_due(tiny_session):
    import time

    watch = Watch(ALL_OFF, tiny_session.engine.policy)
    due = ClipFrame(0, 0.0, pan("polyps", 1, side=32)[0], time.monotonic() - 2.0)
    ((row, _),) = answer_frames(tiny_session.engine, watch, [due])
    assert row.lag_ms > 2000
