"""Time that a prediction took, and time that it may take."""

import time


class Clock:
    """Time since a call of `predict` began, and the time that the call may take.

    Args:
        limit_ms: Milliseconds that it may take; None for any time.
    """

    def __init__(self, limit_ms: float | None) -> None:
        self.limit_ms = limit_ms
        self._begin = time.perf_counter()

    def spent(self) -> float:
        """Return the milliseconds since the call began."""
        return since(self._begin)

    def is_over(self) -> bool:
        """Return whether the call took longer than it may."""
        return self.limit_ms is not None and self.spent() > self.limit_ms


def since(begin: float) -> float:
    """Return the milliseconds since a time of `time.perf_counter`."""
    return (time.perf_counter() - begin) * 1000
