"""Forecasts of how long a stage will take, from how long it took."""

from bisect import bisect_left
from collections import defaultdict, deque

_RECENT = 32
_QUANTILE = 0.9  # one run in ten takes longer: a stage that starts should finish in time


class StageTimes:
    """Recent durations of each stage for each batch size, and forecasts from them."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, dict[int, deque[float]]] = defaultdict(dict)

    def record(self, stage: int, images: int, ms: float) -> None:
        """Record that `stage` took `ms` milliseconds for a batch of that many images."""
        sizes = self._seen[stage]
        if images not in sizes:
            sizes[images] = deque(maxlen=_RECENT)
        sizes[images].append(ms)

    def forecast(self, stage: int, images: int) -> float | None:
        """Return the milliseconds that `stage` will rarely exceed for that many images.

        Between measured batch sizes the forecast is interpolated. Above the largest it grows
        in proportion, which is an upper bound.

        Returns:
            The forecast; None for a stage that has not run yet.
        """
        sizes = self._seen.get(stage)
        if not sizes:
            return None
        known = sorted(sizes)
        above = bisect_left(known, images)
        if above == len(known):
            return _high(sizes[known[-1]]) * images / known[-1]
        right = known[above]
        if right == images or above == 0:
            return _high(sizes[right])
        left = known[above - 1]
        low, high = _high(sizes[left]), _high(sizes[right])
        return low + (high - low) * (images - left) / (right - left)


def _high(durations: deque[float]) -> float:
    # Not numpy.quantile: this runs at every stage of every image, and a sort of 32 is faster.
    return sorted(durations)[int(_QUANTILE * (len(durations) - 1))]
