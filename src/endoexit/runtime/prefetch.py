"""Reading ahead in the background, with bounded memory."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

_STOP_CHECK_S = 0.1


class Prefetch(Generic[Item, Value]):
    """Loads items in background threads; values come in the order of the items.

    The items, too, are taken in the background, so that a source that waits (a pipe) does not
    block whoever asks. At most `ahead` items are under way or ready.

    Args:
        items: where they come from; iterated in a thread of its own.
        load: called in the threads; returns as a value whatever may be wrong with an item.
        threads: that load at the same time.
        ahead: how many items may be ahead of what was asked for.
    """

    def __init__(
        self, items: Iterable[Item], load: Callable[[Item], Value], threads: int, ahead: int
    ) -> None:
        self._items, self._load = items, load
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._queue: queue.Queue[Future[Value] | None] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        # A daemon: it may hang in a pipe into which nobody will ever write.
        self._feeder = threading.Thread(target=self._feed, name="feed", daemon=True)

    def __enter__(self) -> Self:
        self._feeder.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def values(self, idle_s: float) -> Iterator[Value | None]:
        """Yield the loaded values, and None whenever the next takes longer than `idle_s`.

        Ends where the source ends, also when it ends by an error: see `check`.
        """
        while True:
            try:
                future = self._queue.get(timeout=idle_s)
            except queue.Empty:
                yield None
                continue
            if future is None:
                return
            while not wait((future,), timeout=idle_s).done:
                yield None
            yield future.result()

    def check(self) -> None:
        """Raise the error that the source ended with, if it did."""
        if self._failure is not None:
            raise self._failure

    def _feed(self) -> None:
        try:
            for item in self._items:
                self._put(self._pool.submit(self._load, item))
                if self._stopped.is_set():
                    return
        except BaseException as error:  # raised by `check`, in the thread that asks
            self._failure = error
        self._put(None)

    def _put(self, entry: "Future[Value] | None") -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=_STOP_CHECK_S)
            except queue.Full:
                continue
            return
