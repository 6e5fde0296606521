"""The number of threads that the stages of a bundle run fastest on, measured at first use."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from endoexit.files import sha256_bytes
from endoexit.machine import busy_warning, processor_name, usable_cores
from endoexit.runtime.backends.base import Backend
from endoexit.runtime.backends.compiled import CompiledStages

WARM_UP, ROUNDS = 3, 9
ENOUGH_S = 1.0  # for both of two numbers; a large network runs at least `FEWEST` rounds
FEWEST = 3
WORTH = 0.97  # of the time of fewer threads: what saves less leaves a core to others

Open = Callable[[int], Backend]
"""Function from a number of threads to a backend that runs the stages on them."""


def candidates(cores: int) -> list[int]:
    """Return the numbers of threads that are tried: 1, 2, 4 and so on, and all cores."""
    doubled = [2**power for power in range(cores.bit_length()) if 2**power < cores]
    return [*doubled, cores]


def fastest_threads(
    open_on: Open, size: tuple[int, int, int, int], facts: tuple[Any, ...], kept: CompiledStages
) -> int:
    """Return the number of threads on which all stages together take the least time.

    More threads are not always faster: two cores may be one that is shared, and the stages of a
    small network are short next to the wait of threads for each other. What was measured is kept
    for the next process. Another machine, version, bundle or size measures anew. A machine that
    is busy tells nothing: all cores are used, and nothing is kept.

    Args:
        open_on: See `Open`.
        size: Shape of the normalised images, (B, 3, S, S).
        facts: Names and hashes of everything else that the time depends on.
        kept: Where the number is kept, with the compiled stages.
    """
    numbers = candidates(usable_cores())
    if len(numbers) == 1:
        return 1
    key = f"threads-{_key(size, facts)}"
    number = _number(kept.read(key))
    if number in numbers:
        return number
    if busy_warning() is not None:
        return numbers[-1]
    best = _measured(open_on, size, numbers)
    kept.write(key, str(best).encode())
    return best


def _key(size: tuple[int, ...], facts: tuple[Any, ...]) -> str:
    machine = (processor_name(), usable_cores())
    return sha256_bytes(repr((size, machine, facts)).encode())


def _number(content: bytes | None) -> int:
    return int(content) if content is not None and content.isdigit() else 0


def _measured(open_on: Open, size: tuple[int, int, int, int], numbers: list[int]) -> int:
    """Return the fastest of rising numbers of threads, up to the first that is not worth it."""
    images = np.zeros(size, np.float32)
    best = numbers[0]
    work = _work(open_on(best), images)
    for number in numbers[1:]:
        other = _work(open_on(number), images)
        ratio = _ratio(work, other)
        if ratio > WORTH:
            break
        best, work = number, other
    return best


def _work(backend: Backend, images: np.ndarray) -> Callable[[], None]:
    backend.expect(len(images))

    def run() -> None:
        state = backend.start(images)
        for number in range(1, backend.num_stages + 1):
            state, _ = backend.run(number, state)

    return run


def _ratio(work: Callable[[], None], other: Callable[[], None]) -> float:
    """Return the time of the other work over that of the first: the median of rounds in turns."""
    ratios: list[float] = []
    for each in (work, other):
        each()  # loads and compiles
    begin = time.perf_counter()
    for turn in range(-WARM_UP, ROUNDS):
        marks = [time.perf_counter()]
        for each in (work, other):
            each()
            marks.append(time.perf_counter())
        if turn >= 0:
            ratios.append((marks[2] - marks[1]) / (marks[1] - marks[0]))
        if len(ratios) >= FEWEST and time.perf_counter() - begin > ENOUGH_S:
            break
    return float(np.median(ratios))
