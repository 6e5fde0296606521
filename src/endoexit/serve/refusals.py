"""The pace of refusals: a crowd that is refused must not take the time of those inside."""

import asyncio
import time
from collections.abc import Callable

PER_SECOND = 100.0
LONGEST_S = 1.0


class Refusals:
    """Spreads refusals over time.

    A refusal takes its time of the event loop, too. Clients that ask again as soon as they are
    refused would leave none for the images inside. So a refusal waits for its
    turn, and its client with it. A refusal on its own never waits.

    Args:
        per_second: Number of refusals in a second, until they wait `longest_s`. In a larger crowd
            each waits so long, and more end in a second.
        longest_s: Seconds that a refusal waits at most.
        clock: Function that returns the seconds since any moment.
    """

    def __init__(
        self,
        per_second: float = PER_SECOND,
        longest_s: float = LONGEST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apart_s = 1 / per_second
        self._longest_s = longest_s
        self._clock = clock
        self._next = float("-inf")

    def wait_s(self) -> float:
        """Return the seconds until the turn of one more refusal, which is counted."""
        now = self._clock()
        turn = min(max(self._next, now), now + self._longest_s)
        self._next = turn + self._apart_s
        return turn - now

    async def turn(self) -> None:
        """Wait for the turn of one more refusal."""
        if (seconds := self.wait_s()) > 0:
            await asyncio.sleep(seconds)
