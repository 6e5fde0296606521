"""Frames by the clock: which are dropped, their order, and faults of their source."""

import threading

import numpy as np
import pytest

from endoexit.images.video.clip import ClipFrame
from endoexit.watching.live import newest


def frame(index: int) -> ClipFrame:
    return ClipFrame(index, index / 25, np.zeros((1, 1, 3), np.uint8), 0.0)


def taken(count: int, room: int, *, pause_after: int) -> list[ClipFrame]:
    """Return what comes when all other frames come while one is being answered."""
    go, done = threading.Event(), threading.Event()

    def source():
        for index in range(count):
            if index == pause_after:
                go.wait(60)
            yield frame(index)
        done.set()

    frames = []
    for each in newest(source(), room):
        frames.append(each)
        if each.index == pause_after - 1:
            go.set()
            done.wait(60)
    return frames


def test_without_delay_no_frame_is_dropped():
    frames = list(newest((frame(index) for index in range(3)), room=3))
    assert [each.index for each in frames] == [0, 1, 2]
    assert all(each.square is not None for each in frames)


def test_the_oldest_waiting_frames_are_dropped_and_come_in_order_without_a_square():
    frames = taken(10, room=3, pause_after=1)
    assert [each.index for each in frames] == list(range(10))
    assert [each.index for each in frames if each.square is None] == [1, 2, 3, 4, 5, 6]


def test_a_failing_source_fails_after_the_frames_before():
    def source():
        yield frame(0)
        raise OSError("gone")

    coming = newest(source())
    assert next(coming).index == 0
    with pytest.raises(OSError, match="gone"):
        next(coming)
