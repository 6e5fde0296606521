"""Works that are timed alternately, so that their ratios hold on a noisy machine."""

import time
from collections.abc import Callable, Mapping

from endoexit.progress import Bar

WARM_UP = 3

Work = Callable[[int], object]
"""What is timed, given the number of the turn (negative while it warms up)."""


def take_turns(
    works: Mapping[str, Work],
    rounds: int,
    bar: Bar,
    *,
    warm_up: int = WARM_UP,
    untimed: int = 0,
    clock: Callable[[], float] | None = None,
) -> dict[str, list[float]]:
    """Return `rounds` times of each work in milliseconds; entry i of all lists is one round.

    In every round each work is done once, in an order that is rotated by one from round to round.
    What slows the machine for a while slows all of them, so ratios are taken round by round.

    Args:
        works: Works by name.
        rounds: Number of rounds that count.
        bar: Progress bar that counts the rounds.
        warm_up: Number of earlier rounds, which do not count.
        untimed: Number of times that each work is done right before it is timed. Its weights
            are then in the caches, as in use, and the threads of the work before are idle.
        clock: Function that returns seconds, by default those on the wall. Those of the processor
            leave out most of what other processes do meanwhile.
    """
    seconds = clock or time.perf_counter
    names = list(works)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warm_up, rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            for _ in range(untimed):
                works[name](turn)
            begin = seconds()
            works[name](turn)
            spent = (seconds() - begin) * 1000
            if turn >= 0:
                times[name].append(spent)
        if turn >= 0:
            bar.advance()
    return times
