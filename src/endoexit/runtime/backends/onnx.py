"""Exported stages in ONNX Runtime."""

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from endoexit.artifacts.source import StageFiles
from endoexit.precision import Precision
from endoexit.runtime.backends.exported import Array, ExportedStages

State = tuple[ort.OrtValue, ...]
"""Tensors (B, ...) in the memory of ONNX Runtime."""


class OnnxBackend(ExportedStages[ort.OrtValue]):
    """Runs exported stages in ONNX Runtime on the CPU; see `ExportedStages`."""

    library = f"ONNX Runtime {ort.__version__}"

    def __init__(self, files: StageFiles, precision: Precision, threads: int | None = None) -> None:
        super().__init__(files, precision, threads)
        self._sessions: dict[int, ort.InferenceSession] = {}

    def _forget(self) -> None:
        if self._asked is None:  # another number of threads may be faster
            self._sessions.clear()

    def prepare(self, number: int, state: State) -> None:  # noqa: ARG002
        """Load a stage, which serves every batch size."""
        self._session(number)

    def run(self, number: int, state: State) -> tuple[State, npt.NDArray[np.float32]]:
        """Run stage `number`; return its state and its exit's logits (B, C).

        Raises:
            RunError: The stage cannot be read, or has changed.
        """
        session = self._session(number)
        feeds = {port.name: value for port, value in zip(session.get_inputs(), state, strict=True)}
        *after, logits = session.run_with_ort_values(None, feeds)
        return tuple(after), logits.numpy()

    def _tensor(self, array: Array) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array)

    def _array(self, tensor: ort.OrtValue) -> Array:
        array: Array = tensor.numpy()
        return array

    def _session(self, number: int) -> ort.InferenceSession:
        """Return the session of a stage, which is loaded when it is first used."""
        if number not in self._sessions:
            options = ort.SessionOptions()
            options.intra_op_num_threads = self.threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            # Each stage has its threads. Those that still wait actively when the next
            # stage runs would take the cores from its threads.
            options.add_session_config_entry("session.force_spinning_stop", "1")
            (content,) = self._files.read(number)
            try:
                session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            # ONNX Runtime's own errors share no other base.
            except Exception as error:
                raise self._unreadable(number) from error
            self._sessions[number] = session
        return self._sessions[number]
