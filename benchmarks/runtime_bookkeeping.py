"""What the policy and the bookkeeping take of an image where stages compute nothing."""

from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.bench.ratios import Spread
from endoexit.bench.throughput import measure_throughput
from endoexit.progress import Track
from endoexit.runtime.backends.base import Backend
from endoexit.runtime.engine import Engine, Images

ROUNDS, LENGTH = 21, 16


class Recorded:
    """A backend that gives for every image what another one gave for one image.

    Args:
        backend: Backend that computes, once.
        images: One normalised image, (1, 3, S, S).
    """

    def __init__(self, backend: Backend, images: npt.NDArray[np.float32]) -> None:
        self._backend = backend
        self._given = []
        state = backend.start(images)
        for number in range(1, backend.num_stages + 1):
            state, logits = backend.run(number, state)
            self._given.append((state, logits.copy()))

    def __getattr__(self, name: str) -> Any:
        """Return everything but the stages from the backend."""
        return getattr(self._backend, name)

    def run(self, number: int, _: Any) -> tuple[Any, npt.NDArray[np.float32]]:
        """Return what the stage gave."""
        return self._given[number - 1]


def around_the_stages(engine: Engine, images: Images, track: Track) -> Spread:
    """Return the milliseconds of an image outside the stages, one image at a time."""
    return measure_throughput(engine, images, (1,), rounds=ROUNDS, track=track, length=LENGTH)[
        0
    ].overhead_ms


def by_itself(engine: Engine, images: Images, track: Track) -> Spread:
    """Return the same where no stage computes, so that nothing but this code uses the caches."""
    view = engine.preprocessing
    recorded: Any = Recorded(engine.backend, view.normalise(images[:1]))
    return around_the_stages(Engine(recorded, engine.policy, view), images, track)
