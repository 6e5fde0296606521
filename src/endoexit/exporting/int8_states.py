"""What a stage is fed while it is quantised."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from endoexit.exporting.stage_files import Stage

Feeds = dict[str, NDArray[np.float32]]


class States:
    """What one stage is fed: the images, sent through the unquantised stages before it.

    It is computed anew at each pass, one image at a time: the states of all images do not fit
    into memory.

    Args:
        images: (N, 3, S, S).
        before: The stages before, in order, each from arrays to arrays.
        names: Names of the inputs of the stage.
    """

    def __init__(
        self, images: NDArray[np.float32], before: list[Stage], names: tuple[str, ...]
    ) -> None:
        self._images, self._before, self._names = images, before, names

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Feeds]:
        for image in self._images:
            state = state_of(image, self._before)
            yield dict(zip(self._names, state, strict=True))


def state_of(image: NDArray[np.float32], before: list[Stage]) -> list[NDArray[np.float32]]:
    """Return what the stages before hand on for one image (3, S, S): their state, by tensor."""
    state = [np.ascontiguousarray(image[None].transpose(0, 2, 3, 1))]
    for stage in before:
        *state, _logits = stage(state)
    return state
