"""The stages of a bundle in ONNX Runtime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from endoexit.artifacts.bundle import Bundle
from endoexit.errors import RunError
from endoexit.precision import Precision
from endoexit.runtime.backends.base import Rows
from endoexit.runtime.threads import check_threads

State = tuple[ort.OrtValue, ...]
"""Tensors (B, ...) in the memory of ONNX Runtime."""


class OnnxBackend:
    """Runs the stages of a bundle in ONNX Runtime on the CPU.

    Args:
        bundle: of the backend "onnx".
        precision: What the stages compute in.
        threads: threads of a stage, by default all cores that this process may use.

    Raises:
        RunError: a stage cannot be read.
        UsageError: no thread.
    """

    def __init__(self, bundle: Bundle, precision: Precision, threads: int | None = None) -> None:
        self.threads = check_threads(threads)
        self.precision = precision
        self.num_stages = len(bundle.config.exits)
        self._bundle = bundle
        self._sessions: dict[int, ort.InferenceSession] = {}

    def expect(self, images: int) -> None:
        """Do nothing: every batch size runs alike."""

    def prepare(self, number: int, state: State) -> None:  # noqa: ARG002
        """Load a stage, which serves every batch size."""
        self._session(number)

    def start(self, images: npt.NDArray[np.float32]) -> State:
        """Return the state before stage 1 for normalised images (B, 3, S, S)."""
        return (_value(np.ascontiguousarray(images.transpose(0, 2, 3, 1))),)

    def run(self, number: int, state: State) -> tuple[State, npt.NDArray[np.float32]]:
        """Run stage `number`; return its state and its exit's logits (B, C)."""
        session = self._session(number)
        feeds = {port.name: value for port, value in zip(session.get_inputs(), state, strict=True)}
        *after, logits = session.run_with_ort_values(None, feeds)
        return tuple(after), logits.numpy()

    def gather(self, state: State, rows: Rows) -> State:
        """Return the state of some images, in the order of `rows`."""
        return tuple(_value(value.numpy()[rows]) for value in state)

    def concatenate(self, states: Sequence[State]) -> State:
        """Return the states of several batches as the state of one batch."""
        return tuple(
            _value(np.concatenate([value.numpy() for value in values]))
            for values in zip(*states, strict=True)
        )

    def _session(self, number: int) -> ort.InferenceSession:
        """Return the session of a stage, which is loaded when it is first used."""
        if number not in self._sessions:
            options = ort.SessionOptions()
            options.intra_op_num_threads = self.threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            (file,) = self._bundle.stage_files(number)
            try:
                session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            # ONNX Runtime's own errors share no other base.
            except Exception as error:
                raise RunError(
                    f"ONNX Runtime {ort.__version__} cannot load {file}: it is damaged or of "
                    "another version. Export the run again with this one."
                ) from error
            self._sessions[number] = session
        return self._sessions[number]


def _value(array: npt.NDArray[Any]) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
