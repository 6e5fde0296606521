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

    The items are also fetched in the background, so a source that waits (a pipe) does not
    block the caller. At most `ahead` items are being loaded or ready.

    Args:
        items: Source of the items; iterated in a separate thread.
        load: Function called in the threads. It returns faults of an item as its value.
        threads: Number of threads that load at the same time.
        ahead: Number of items that may be loaded before the caller asks for them.
    """

    def __init__(
        self, items: Iterable[Item], load: Callable[[Item], Value], threads: int, ahead: int
    ) -> None:
        self._items, self._load = items, load
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._queue: queue.Queue[Future[Value] | None] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        # A daemon, because it may wait forever for a pipe that stays empty.
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

    def values(self, idle_s: float | None) -> Iterator[Value | None]:
        """Yield the loaded values, and None each time the next one takes longer than `idle_s`.

        It ends with the source, even if the source fails: see `check`.

        Args:
            idle_s: Seconds; None to wait for each value.
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
        """Raise the error with which the source failed, if it did."""
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
