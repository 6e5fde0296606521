"""Frames that come by the clock: the oldest undecided ones are dropped when answers are late."""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace

from endoexit.images.video.clip import ClipFrame

ROOM = 3  # frames that may wait: 120 ms at 25 frames a second


def newest(frames: Iterable[ClipFrame], room: int = ROOM) -> Generator[ClipFrame]:
    """Yield the frames in order; those that were dropped come without their square.

    A frame is dropped when more than `room` frames wait for their answers and it is the oldest.
    So an answer is late by at most the time of `room` answers.

    Args:
        frames: Frames as they come; iterated in a background thread.
        room: Number of frames that may wait.

    Raises:
        Exception: Whatever `frames` raises, after the frames before.
    """
    waiting = _Waiting(room)
    threading.Thread(target=waiting.feed, args=(frames,), name="live", daemon=True).start()
    try:
        yield from waiting
    finally:
        waiting.stop()


class _Waiting:
    """The frames between the thread that reads and the one that answers."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._changed = threading.Condition()
        self._frames: deque[ClipFrame] = deque()
        self._ended = self._stopped = False
        self._failure: BaseException | None = None

    def feed(self, frames: Iterable[ClipFrame]) -> None:
        """Take all frames, as they come."""
        try:
            for frame in frames:
                with self._changed:
                    self._add(frame)
                    self._changed.notify()
                if self._stopped:
                    return
        except BaseException as error:  # raised in the thread that answers
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def stop(self) -> None:
        """Take no more frames."""
        self._stopped = True

    def __iter__(self) -> Iterator[ClipFrame]:
        while True:
            with self._changed:
                while not self._frames and not self._ended:
                    self._changed.wait()
                if not self._frames:
                    break
                frame = self._frames.popleft()
            yield frame
        if self._failure is not None:
            raise self._failure

    def _add(self, frame: ClipFrame) -> None:
        self._frames.append(frame)
        undecided = [at for at, each in enumerate(self._frames) if each.square is not None]
        if len(undecided) > self._room:
            oldest = undecided[0]
            self._frames[oldest] = replace(self._frames[oldest], square=None)
