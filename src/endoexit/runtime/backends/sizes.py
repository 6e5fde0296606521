"""The batch sizes that stages are compiled for, and how a batch of any size is made of them."""

from itertools import zip_longest

SIZES = (8, 4, 1)
"""Batch sizes that stages are compiled for, the largest first."""

WARM_UP_RUNS = 3
"""Runs of every stage and size before the times are stable."""

Part = tuple[int, int]
"""Numbers of the first image of a part and of the one after its last, from 0."""


def rounds_of(images: int, streams: int = 1) -> list[list[Part]]:
    """Return the parts in which a batch runs, those together that run at the same time.

    Every stream gets an equal share of the batch, and runs it in parts of `SIZES`.
    """
    shares, start = [], 0
    for stream in range(streams):
        stop = start + (images - start) // (streams - stream)
        shares.append(_parts(start, stop))
        start = stop
    return [[part for part in parts if part is not None] for parts in zip_longest(*shares)]


def _parts(start: int, stop: int) -> list[Part]:
    parts: list[Part] = []
    for size in SIZES:
        while stop - start >= size:
            parts.append((start, start + size))
            start += size
    return parts


def sizes_up_to(images: int, streams: int = 1) -> list[int]:
    """Return the batch sizes to run once before batches of up to so many images come."""
    return sorted({1, *(n for size in SIZES if (n := size * streams) < images), images})
