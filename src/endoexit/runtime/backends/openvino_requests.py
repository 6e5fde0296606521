"""What runs compiled stages in OpenVINO, and the arrays that they read and write in place."""

import operator
from collections.abc import Sequence

import numpy as np
import openvino as ov

from endoexit.precision import FloatFormat
from endoexit.runtime.backends.exported import Array

State = tuple[Array, ...]
"""Arrays (B, ...) at the stages' own precision; bf16 as the 16 bits of each number."""

# NumPy has no bf16: an array holds its bits, and OpenVINO reads them without a copy.
BITS: dict[FloatFormat, type[np.generic]] = {"f32": np.float32, "bf16": np.uint16}
TYPES = {"f32": ov.Type.f32, "bf16": ov.Type.bf16}


class Request:
    """Stages compiled for a number of images, and the arrays that they read and write.

    Args:
        compiled: Compiled stages.

    Attributes:
        infer: Request of OpenVINO.
    """

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self.infer = compiled.create_infer_request()
        self._inputs: State = ()
        self._outputs: State = ()

    def bind(self, state: State, outputs: State) -> None:
        """Set the arrays of the state, and those of the next state and, last, of the logits."""
        # From one image to the next, the stage before writes into the same arrays.
        if not _are_same(state, self._inputs):
            for index, array in enumerate(state):
                self.infer.set_input_tensor(index, _tensor(array))
            self._inputs = state
        if not _are_same(outputs, self._outputs):
            for index, array in enumerate(outputs):
                self.infer.set_output_tensor(index, _tensor(array))
            self._outputs = outputs


def run_at_once(requests: Sequence[Request]) -> None:
    """Run requests at the same time, each on a stream of its compiled stages.

    Raises:
        RuntimeError: OpenVINO's error of a request, after all have ended.
    """
    if len(requests) == 1:  # in this thread, which is faster
        requests[0].infer.infer()
        return
    for request in requests:
        request.infer.start_async()
    errors = []
    for request in requests:  # none may write after the return
        try:
            request.infer.wait()
        except RuntimeError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _are_same(arrays: State, bound: State) -> bool:
    return len(arrays) == len(bound) and all(map(operator.is_, arrays, bound))


def _tensor(array: Array) -> ov.Tensor:
    """Return a tensor on the memory of an array."""
    kind = TYPES["f32"] if array.dtype == np.float32 else TYPES["bf16"]
    return ov.Tensor(array, ov.Shape(array.shape), kind)


class Room:
    """The arrays that a stage writes into, which grow with the batch.

    Args:
        state_shapes: Shapes of the tensors that it hands on, without the batch.
        bits: Type of the arrays of the state.
        classes: Number of classes C.
    """

    def __init__(
        self, state_shapes: Sequence[tuple[int, ...]], bits: type[np.generic], classes: int
    ) -> None:
        self._shapes: list[tuple[tuple[int, ...], type[np.generic]]] = [
            *((shape, bits) for shape in state_shapes),
            ((classes,), np.float32),
        ]
        self._all: State = ()
        self._first: State = ()

    def of(self, images: int) -> State:
        """Return arrays for so many images, the same ones as long as the number stays."""
        if not self._all or images > len(self._all[0]):
            self._all = tuple(np.empty((images, *shape), bits) for shape, bits in self._shapes)
            self._first = self._all
        if len(self._first[0]) != images:
            self._first = tuple(array[:images] for array in self._all)
        return self._first
