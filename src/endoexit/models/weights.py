"""Weights as safetensors: no code is ever run by loading them."""

from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from endoexit.errors import ModelError, RunError
from endoexit.files import refuse_lfs_pointer, replacing


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all parameters and buffers, whole or not at all."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    with replacing(path) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary)
        except safetensors.SafetensorError as error:  # hides the errno of a full disk
            raise OSError(str(error)) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights into `model`.

    Raises:
        RunError: the file is missing or damaged.
        ModelError: names or shapes differ; the first ones are listed.
    """
    path = Path(path)
    refuse_lfs_pointer(path, RunError)
    try:
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it or train again.") from error
    own = model.state_dict()
    problems = [
        f"{name}: {tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the network"
        for name in own
        if name in tensors and own[name].shape != tensors[name].shape
    ]
    problems += [f"{name}: missing in the file" for name in own if name not in tensors]
    problems += [f"{name}: not in the network" for name in tensors if name not in own]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" * (len(problems) > 5))
        raise ModelError(
            f"{path} holds weights of another network or class count: {shown}. "
            "Use the run's own weights, or name the model that they were made for."
        )
    model.load_state_dict(tensors)
