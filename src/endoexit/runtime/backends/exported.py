"""What the backends of exported stages have in common: their files, and states of tensors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from endoexit.artifacts.source import StageFiles
from endoexit.errors import RunError
from endoexit.machine import usable_cores
from endoexit.precision import Precision
from endoexit.runtime.backends.base import Rows
from endoexit.runtime.backends.compiled import CompiledStages, kept_compiled
from endoexit.runtime.backends.fastest import fastest_threads
from endoexit.runtime.features import from_bits, pooled
from endoexit.runtime.threads import asked_threads

Array = npt.NDArray[Any]
Tensor = TypeVar("Tensor")


class ExportedStages(ABC, Generic[Tensor]):
    """A `Backend` that runs exported stages on the CPU; a state is a tuple of tensors (B, ...).

    Args:
        files: Stages, exported for this backend.
        precision: Precision that the stages compute in.
        threads: Number of threads of a stage, by default OMP_NUM_THREADS, or else what is fastest
            here for the expected batch size; see `fastest_threads`.

    Attributes:
        library: Name and version of the library, for messages.

    Raises:
        UsageError: The number of threads is less than 1.
    """

    library: ClassVar[str]

    def __init__(self, files: StageFiles, precision: Precision, threads: int | None = None) -> None:
        self.precision = precision
        self.num_stages = files.num_stages
        self._files = files
        self._asked = asked_threads(threads)
        self._fastest: dict[int, int] = {}
        self._expected = 1
        # Only what is sealed is kept: anything else is compiled for a moment.
        self._kept = kept_compiled() if files.hashes else CompiledStages(None)

    @property
    def threads(self) -> int:
        """Number of threads that a stage runs on."""
        if self._asked is not None:
            return self._asked
        size, images = self._files.size, self._expected
        if size is None or not self._files.hashes:
            return usable_cores()
        if images not in self._fastest:
            self._fastest[images] = fastest_threads(
                lambda threads: type(self)(self._files, self.precision, threads),
                (images, 3, size, size),
                (self.library, str(self.precision), sorted(self._files.hashes.items())),
                self._kept,
            )
        return self._fastest[images]

    def expect(self, images: int) -> None:
        """Prepare for batches of so many images, when the stages are first used."""
        if images != self._expected:
            self._expected = images
            self._forget()

    @abstractmethod
    def prepare(self, number: int, state: tuple[Tensor, ...]) -> None:
        """Load and compile a stage for a state of this form; see `Backend`."""

    @abstractmethod
    def run(
        self, number: int, state: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], npt.NDArray[np.float32]]:
        """Run stage `number`; return its state and its exit's logits (B, C)."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop what was loaded or compiled for the batch size before."""

    @abstractmethod
    def _tensor(self, array: Array) -> Tensor:
        """Return an array that is contiguous as a tensor of the library."""

    @abstractmethod
    def _array(self, tensor: Tensor) -> Array:
        """Return the array of a tensor."""

    def start(self, images: npt.NDArray[np.float32]) -> tuple[Tensor, ...]:
        """Return the state before stage 1 for normalised images (B, 3, S, S)."""
        # Images are normalised in this order already, so that nothing is copied.
        return (self._tensor(np.ascontiguousarray(images.transpose(0, 2, 3, 1))),)

    def features(self, state: tuple[Tensor, ...]) -> npt.NDArray[np.float32]:
        """Return features (B, D) of the last tensor of a state; see `Backend`."""
        values = from_bits(self._array(state[-1]))
        return pooled(np.moveaxis(values, 3, 1) if self._turned(values) else values)

    def _turned(self, values: Array) -> bool:
        """Return whether the last tensor of states is a map with its channels moved last."""
        last = [tensors[-1] for tensors in self._files.state.stages[:-1] if tensors]
        shape = values.shape[1:]
        return any(tensor.channels_last for tensor in last if tensor.shape == shape)

    def gather(self, state: tuple[Tensor, ...], rows: Rows) -> tuple[Tensor, ...]:
        """Return the state of some images, in the order of `rows`."""
        return tuple(self._tensor(self._array(tensor)[rows]) for tensor in state)

    def concatenate(self, states: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Return the states of several batches as the state of one batch."""
        return tuple(
            self._tensor(np.concatenate([self._array(tensor) for tensor in tensors]))
            for tensors in zip(*states, strict=True)
        )

    def _unreadable(self, number: int) -> RunError:
        """Return the error of a stage that the library cannot load."""
        return RunError(
            f"{self.library} cannot load {self._files.of(number)[0]}: it is damaged or of another "
            "version. Export the run again with this one."
        )
