"""What an engine needs to know of a backend: the protocols `Backend` and `RunsTogether`."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from endoexit.precision import Precision

Rows = npt.NDArray[np.int64]


class Backend(Protocol):
    """Runs the stages of one network: all that an engine needs to know about it.

    A state is what one stage hands to the next. It stays inside the backend, in any form that
    suits the backend. A state from `run` is valid until `run` is called again for the same
    stage. States from `gather` and `concatenate` stay valid.
    """

    @property
    def num_stages(self) -> int:
        """Number of stages M, which is the number of exits."""

    @property
    def precision(self) -> Precision:
        """What the stages compute in, for which a policy is fitted."""

    @property
    def threads(self) -> int:
        """Number of threads that a stage runs on."""

    def expect(self, images: int) -> None:
        """Announce the usual batch size, which a backend may optimise for."""

    def prepare(self, number: int, state: Any) -> None:
        """Load and compile stage `number` for a state of this form, if that is still to be done.

        The engine calls it before it times a stage. `run` also works without it, but then the
        first run includes loading and compiling.
        """

    def start(self, images: npt.NDArray[np.float32]) -> Any:
        """Return the state before stage 1 for normalised images (B, 3, S, S)."""

    def run(self, number: int, state: Any) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run stage `number` (1 to M); return its state and its exit's logits (B, C)."""

    def features(self, state: Any) -> npt.NDArray[np.float32]:
        """Return features (B, D) of the map that exit k reads, of the state behind stage k < M.

        They are means and deviations of its channels; see `endoexit.runtime.features`.
        """

    def gather(self, state: Any, rows: Rows) -> Any:
        """Return the state of some images, in the order of `rows`."""

    def concatenate(self, states: Sequence[Any]) -> Any:
        """Return the states of several batches as the state of one batch."""


@runtime_checkable
class RunsTogether(Protocol):
    """A backend that also runs several stages as one, without the exits between them.

    Its states are those of `Backend`, so stages run as one or one by one in any order. Its
    answers are those of the same stages one by one.
    """

    def prepare_together(self, first: int, last: int, state: Any) -> None:
        """Load and compile stages `first` to `last` as one; see `Backend.prepare`."""

    def run_together(
        self, first: int, last: int, state: Any
    ) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run stages `first` to `last` as one; return the state and the logits of the last.

        The state is valid until stages are run that end with the same one.
        """
