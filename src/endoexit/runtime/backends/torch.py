"""The stages in eager PyTorch: the reference that other backends are compared with."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from endoexit.errors import UsageError
from endoexit.models import StagedClassifier, State
from endoexit.precision import FloatFormat, Precision
from endoexit.runtime.backends.base import Rows
from endoexit.runtime.exits import AnswerAll
from endoexit.runtime.features import pooled
from endoexit.runtime.threads import check_threads


class TorchBackend:
    """Runs the stages of a network in eager PyTorch on the CPU.

    Args:
        model: Network; it is put into evaluation mode.
        floats: "f32", or "bf16" for automatic mixed precision.
        threads: Number of threads of a stage, by default all cores that this process may use.
            PyTorch has one such number for the whole process, which is set here.

    Raises:
        UsageError: The processor has no bf16, or the number of threads is less than 1.
    """

    def __init__(
        self, model: StagedClassifier, floats: FloatFormat = "f32", threads: int | None = None
    ) -> None:
        if floats == "bf16":
            require_bf16()
        torch.set_num_threads(check_threads(threads))
        self._model = model.eval()
        self._bf16 = floats == "bf16"
        self.precision = Precision("torch", floats, floats)
        self.num_stages = model.num_stages
        self.threads = torch.get_num_threads()

    def expect(self, images: int) -> None:
        """Do nothing: every batch size runs alike."""

    def prepare(self, number: int, state: State) -> None:
        """Do nothing: eager PyTorch compiles nothing."""

    def start(self, images: npt.NDArray[np.float32]) -> State:
        """Return the state before stage 1 for normalised images (B, 3, S, S)."""
        return (torch.from_numpy(images),)

    def run(self, number: int, state: State) -> tuple[State, npt.NDArray[np.float32]]:
        """Run stage `number`; return its state and its exit's logits (B, C)."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            after, logits = self._model.stage(number, state)
        return after, logits.float().numpy()

    def features(self, state: State) -> npt.NDArray[np.float32]:
        """Return features (B, D) of the last tensor of a state; see `Backend`."""
        return pooled(state[-1].float().numpy())

    def gather(self, state: State, rows: Rows) -> State:
        """Return the state of some images, in the order of `rows`; the memory format stays."""
        # Not index_select: it answers in the default memory format, whatever it was given.
        chosen = torch.from_numpy(rows)
        return tuple(tensor[chosen] for tensor in state)

    def concatenate(self, states: Sequence[State]) -> State:
        """Return the states of several batches as the state of one batch."""
        return tuple(torch.cat(tensors) for tensors in zip(*states, strict=True))


def all_exits_on_gpu(model: StagedClassifier, precision: Precision) -> AnswerAll:
    """Return a function that answers at all exits on the GPU of a precision."""
    device, bf16 = precision.device, precision.floats == "bf16"
    moved = model.to(device)

    @torch.inference_mode()
    def answer(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            exits = moved(torch.from_numpy(batch).to(device))
        logits: npt.NDArray[np.float32] = torch.stack(exits).float().cpu().numpy()
        return logits

    return answer


def require_bf16() -> None:
    """Refuse bf16 on a processor without it.

    Raises:
        UsageError: The processor has no bf16.
    """
    if not supports_bf16():
        raise UsageError(
            "this processor does not compute in bf16 (it would be slower than f32): "
            "use --precision f32."
        )


def supports_bf16() -> bool:
    """Return whether this processor computes bf16 in hardware, as oneDNN sees it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
