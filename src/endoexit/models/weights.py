"""Weights as safetensors: no code is ever run by loading them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from endoexit.errors import ModelError, RunError
from endoexit.files import naming_the_cause, refuse_lfs_pointer, replacing


@dataclass(frozen=True)
class PublishedReport:
    """What `load_published` did.

    Attributes:
        loaded: Number of tensors that were read.
        left_out: Names in the state dict that belong to layers which the
            published code builds and never runs.
        not_in_published: Tensors of the model that keep their values (the exit heads).
    """

    loaded: int
    left_out: tuple[str, ...]
    not_in_published: tuple[str, ...]


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all parameters and buffers, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    written: set[int] = set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        # A layer of two stages is written for each: the format knows no shared memory.
        tensors[name] = tensor.clone() if tensor.data_ptr() in written else tensor
        written.add(tensor.data_ptr())
    write_tensors(tensors, path)


def write_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and text as a safetensors file, whole or not at all.

    Args:
        tensors: Contiguous tensors on the CPU.
        path: File to write.
        metadata: Texts of the header.

    Raises:
        WriteError: The file cannot be written (disk full, no permission).
    """
    texts = None if metadata is None else dict(metadata)
    size = sum(tensor.nbytes for tensor in tensors.values())
    size += sum(len(text.encode()) for text in (texts or {}).values())
    with (
        replacing(path) as temporary,
        naming_the_cause(temporary, size, safetensors.SafetensorError),
    ):
        safetensors.torch.save_file(dict(tensors), temporary, metadata=texts)


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights into `model`.

    Raises:
        RunError: The file is missing or damaged.
        ModelError: Names or shapes differ; the first ones are listed.
    """
    path = Path(path)
    refuse_lfs_pointer(path, RunError)
    try:
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it or train again.") from error
    current = model.state_dict()
    problems = [
        f"{name}: {tuple(tensors[name].shape)} in the file, "
        f"{tuple(current[name].shape)} in the network"
        for name in current
        if name in tensors and current[name].shape != tensors[name].shape
    ]
    problems += [f"{name}: missing in the file" for name in current if name not in tensors]
    problems += [f"{name}: not in the network" for name in tensors if name not in current]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" * (len(problems) > 5))
        raise ModelError(
            f"{path} holds weights of another network or class count: {shown}. "
            "Use the run's own weights, or name the model that they were made for."
        )
    model.load_state_dict(tensors)
