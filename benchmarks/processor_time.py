"""Processor time of works that take turns: what other processes do at the same time counts less."""

import time
from collections.abc import Mapping

from endoexit.evaluation.turns import Work
from endoexit.progress import Bar

WARM_UP = 5


def processor_turns(works: Mapping[str, Work], rounds: int, bar: Bar) -> dict[str, list[float]]:
    """Return `rounds` processor times of each work in milliseconds; entry i is one round.

    Works run in turns, each once untimed before it is timed; see `take_turns`. The time is that of
    all threads of this process, so the works run on one.
    """
    names = list(works)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-WARM_UP, rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            works[name](turn)
            begin = time.process_time()
            works[name](turn)
            spent = (time.process_time() - begin) * 1000
            if turn >= 0:
                times[name].append(spent)
        if turn >= 0:
            bar.advance()
    return times
