"""Admission of requests before their bodies are read; when a refused client may try again."""

import asyncio
import contextlib
import math
import time
from collections import Counter, deque
from collections.abc import Callable

from endoexit.serve.metrics import Ending, Metrics
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

LONGEST_RETRY_S = 30
PRUDENCE = 0.7  # share of a deadline that the work before may be forecast to take
_FADING = 0.98  # weight of all earlier images in the rate, image by image


class Rate:
    """Images that end in a second, while there are any inside.

    Args:
        first: Rate until it is measured.
        clock: Seconds since any moment.
    """

    def __init__(self, first: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.first = first
        self._clock = clock
        self._images = self._busy_s = 0.0
        self._since: float | None = None

    @property
    def images_per_second(self) -> float:
        """Measured rate, at first mixed with the forecast."""
        if math.isinf(self.first):
            return self._images / self._busy_s if self._busy_s else self.first
        weight = 8.0  # images that the forecast counts as
        return (self._images + weight) / (self._busy_s + weight / self.first)

    def begin(self) -> None:
        """Note that there is an image inside."""
        if self._since is None:
            self._since = self._clock()

    def end(self, *, empty: bool) -> None:
        """Note that an image has ended, and whether it was the last one inside."""
        now = self._clock()
        spent = 0.0 if self._since is None else now - self._since
        self._images = self._images * _FADING + 1
        self._busy_s = self._busy_s * _FADING + spent
        self._since = None if empty else now


class Slot:
    """The place of one request: the images and the bytes that it has inside.

    Args:
        gate: Gate that gave it.
        client: Client that sends the request.
        length: Number of bytes that it may take.
    """

    def __init__(self, gate: "Gate", client: str, length: int) -> None:
        self._gate = gate
        self.client = client
        self.length = length
        self.images = 0


class Gate:
    """Gives places to requests within the limits.

    Args:
        limits: Limits of images, bytes and shares.
        metrics: Metrics that show what is inside.
        rate: Rate at which images end.
    """

    def __init__(self, limits: Limits, metrics: Metrics, rate: Rate) -> None:
        self.limits = limits
        self.rate = rate
        self._metrics = metrics
        self._clients: Counter[str] = Counter()
        self._images = self._bytes = 0
        self._waiting: deque[tuple[Slot, asyncio.Future[None]]] = deque()

    @property
    def images(self) -> int:
        """Number of images inside."""
        return self._images

    def retry_after(self) -> int:
        """Return the seconds until the images inside have ended, 1 to 30."""
        rate = self.rate.images_per_second
        return int(min(max(math.ceil(self._images / rate), 1), LONGEST_RETRY_S))

    def enter(self, client: str, length: int | None, seconds: float) -> Slot:
        """Give a place to a request, for its first image.

        Args:
            client: Client that sends it.
            length: Number of bytes of its body; None if it does not say, for the largest allowed.
            seconds: Time until its deadline.

        Raises:
            Problem: There is no place, or it would be answered too late.
        """
        limits = self.limits
        length = limits.body_bytes if length is None else length
        if length > limits.body_bytes:
            raise Problem("body.too_large", limit=("body_bytes", limits.body_bytes))
        mine = self._clients[client]
        if self._images > mine and mine + 1 > limits.client_share * limits.images_inside:
            raise self._refuse("client.share", "client_share", limits.client_share)
        if self._waiting or self._images >= limits.images_inside:
            raise self._refuse("full", "images_inside", limits.images_inside)
        if self._bytes + length > limits.bytes_in_flight:
            raise self._refuse("full", "bytes_in_flight", limits.bytes_in_flight)
        if self._images / self.rate.images_per_second > PRUDENCE * seconds:
            raise self._refuse("full", "images_a_second", round(self.rate.images_per_second, 1))
        slot = Slot(self, client, length)
        self._bytes += length
        self._metrics.bytes_in_flight.set(self._bytes)
        self._take(slot)
        return slot

    async def more(self, slot: Slot) -> None:
        """Wait until another image of a request may come in."""
        if not self._waiting and self._images < self.limits.images_inside:
            self._take(slot)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((slot, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(slot, "cancelled")  # it came in just before
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove((slot, turn))

    def leave(self, slot: Slot, ending: Ending) -> None:
        """Take an image of a request out, by what became of it."""
        self._metrics.end(ending)
        slot.images -= 1
        self._images -= 1
        self._clients[slot.client] -= 1
        if not self._clients[slot.client]:
            del self._clients[slot.client]
        self.rate.end(empty=self._images == 0)
        while self._waiting and self._images < self.limits.images_inside:
            next_slot, turn = self._waiting.popleft()
            if not turn.done():
                self._take(next_slot)
                turn.set_result(None)

    def close(self, slot: Slot, ending: Ending = "cancelled") -> None:
        """Take a request out; its images that are still inside end so."""
        while slot.images:
            self.leave(slot, ending)
        self._bytes -= slot.length
        self._metrics.bytes_in_flight.set(self._bytes)

    def _take(self, slot: Slot) -> None:
        slot.images += 1
        self._images += 1
        self._clients[slot.client] += 1
        self._metrics.take_in()
        self.rate.begin()

    def _refuse(self, code: str, limit: str, value: float) -> Problem:
        self._metrics.rejected.labels(limit).inc()
        return Problem(code, retry_after=self.retry_after(), limit=(limit, value))
