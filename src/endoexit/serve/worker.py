"""The thread that decides what runs next, the threads that run it, and the way of the images."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

from endoexit.runtime.engine import Images
from endoexit.runtime.prediction import Prediction
from endoexit.serve.job import Job
from endoexit.serve.scheduler import Outcome, Scheduler

_IDLE_S = 0.5  # the thread turns at least so often, which shows that it lives


class Journey:
    """One image on its way, as its request sees it.

    Args:
        on_exit: Function that the event loop calls with the answer of each exit that it passes.

    Attributes:
        end: Outcome of the image, when it is no longer inside.
        last: Answer of the last exit that it passed.
        marks: Times at which its exits answered.
    """

    def __init__(self, on_exit: Callable[[Prediction], None] | None = None) -> None:
        self.end: asyncio.Future[Outcome[Journey]] = asyncio.get_running_loop().create_future()
        self.last: Prediction | None = None
        self.marks: list[float] = []
        self._on_exit = on_exit

    def take(self, outcome: "Outcome[Journey]") -> None:
        """Note what happened to the image."""
        if self.end.done():  # its request has ended before
            return
        self.marks.append(time.monotonic())
        if outcome.is_last:
            self.end.set_result(outcome)
            return
        self.last = outcome.prediction
        if self._on_exit is not None and outcome.prediction is not None:
            self._on_exit(outcome.prediction)


class Worker:
    """Runs schedulers in a thread, and their jobs in others. All methods are for the event loop.

    Args:
        scheduler: Scheduler of the images that come.
        on_death: Function that the event loop calls if the thread ends by an error.
        streams: Number of jobs that run at the same time.
    """

    def __init__(
        self,
        scheduler: Scheduler[Journey],
        on_death: Callable[[BaseException], None],
        streams: int = 1,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        # Not a SimpleQueue: after a pause of the process, a thread waited in its `get` for longer
        # than the timeout.
        self._commands: queue.Queue[Callable[[], None]] = queue.Queue()
        self._schedulers = [scheduler]
        self._on_death = on_death
        self._stopping = False
        self._turned = time.monotonic()
        self._jobs: dict[Job[Journey], float] = {}  # those that run, and since when
        self._starts: queue.SimpleQueue[tuple[Scheduler[Journey], Job[Journey]] | None] = (
            queue.SimpleQueue()
        )
        self._streams = streams
        # Shared with the thread: only whole tuples are put here.
        self.counts: tuple[int, ...] = ()
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self._thread.start()
        for number in range(streams):  # daemons: a stage that hangs must not keep the process
            threading.Thread(target=self._run, name=f"stage-{number}", daemon=True).start()

    @property
    def since_turn_s(self) -> float:
        """Seconds since the thread last turned, or the oldest job began: large if one hangs.

        0 if there is nothing to do: after a pause of the process, the thread has not turned either.
        """
        if not self._jobs and self._commands.empty():
            return 0.0
        return time.monotonic() - min([self._turned, *list(self._jobs.values())])

    def add(self, scheduler: Scheduler[Journey], ticket: Journey, image: Images, at: float) -> None:
        """Hand an image over, with the time at which it must be answered."""
        self._commands.put(partial(self._add, scheduler, ticket, image, at))

    def cancel(self, ticket: Journey) -> None:
        """Take an image out before its next stage."""
        self._commands.put(partial(self._cancel, ticket))

    def swap(self, scheduler: Scheduler[Journey]) -> None:
        """Take in another scheduler; the ones before end their images."""
        self._commands.put(partial(self._schedulers.append, scheduler))

    def let_go(self) -> None:
        """Answer all images inside with what is known."""
        self._commands.put(self._let_go)

    async def close(self) -> None:
        """End the thread."""
        self._commands.put(self._stop)
        await asyncio.to_thread(self._thread.join, 5)
        for _ in range(self._streams):
            self._starts.put(None)

    def _main(self) -> None:
        try:
            while not self._stopping:
                self._turned = time.monotonic()
                self._take_commands()
                for scheduler in list(self._schedulers):
                    self._tell(scheduler.out_of_time())
                    while (job := scheduler.begin()) is not None:
                        self._start(scheduler, job)
                *before, newest = self._schedulers
                self._schedulers = [*(scheduler for scheduler in before if len(scheduler)), newest]
                self.counts = newest.counts
        except BaseException as error:  # the service ends, and says why
            self._loop.call_soon_threadsafe(self._on_death, error)

    def _take_commands(self) -> None:
        waits = not any(scheduler.can_begin for scheduler in self._schedulers)
        try:
            command = self._commands.get(timeout=_IDLE_S) if waits else self._commands.get_nowait()
            while True:
                command()
                command = self._commands.get_nowait()
        except queue.Empty:
            pass

    def _start(self, scheduler: Scheduler[Journey], job: Job[Journey]) -> None:
        self._jobs[job] = time.monotonic()
        self._starts.put((scheduler, job))

    def _run(self) -> None:
        """Run one job after the other; the end of each is a command."""
        while (start := self._starts.get()) is not None:
            scheduler, job = start
            error = None
            try:
                job.run()
            except BaseException as raised:  # a bug: raised again in the thread that decides
                error = raised
            self._commands.put(partial(self._finish, scheduler, job, error))

    def _finish(
        self, scheduler: Scheduler[Journey], job: Job[Journey], error: BaseException | None
    ) -> None:
        del self._jobs[job]
        if error is not None:
            raise error
        self._tell(scheduler.finish(job))

    def _add(
        self, scheduler: Scheduler[Journey], ticket: Journey, image: Images, at: float
    ) -> None:
        if scheduler not in self._schedulers:  # of a model before, with no image for a moment
            self._schedulers.insert(0, scheduler)
        try:
            scheduler.add(ticket, image, at)
        except Exception as error:
            self._tell([Outcome(ticket, "failed", error=error)])

    def _cancel(self, ticket: Journey) -> None:
        for scheduler in self._schedulers:
            scheduler.cancel(ticket)

    def _let_go(self) -> None:
        for scheduler in self._schedulers:
            self._tell(scheduler.stop())

    def _stop(self) -> None:
        self._let_go()
        self._stopping = True

    def _tell(self, outcomes: list[Outcome[Journey]]) -> None:
        if outcomes:
            self._loop.call_soon_threadsafe(_deliver, outcomes)


def _deliver(outcomes: list[Outcome[Journey]]) -> None:
    for outcome in outcomes:
        outcome.ticket.take(outcome)
