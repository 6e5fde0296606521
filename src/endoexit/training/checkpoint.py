"""Checkpoints without pickle: one safetensors file with the tree of the rest as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from endoexit.errors import RunError, TrainingError
from endoexit.files import refuse_lfs_pointer
from endoexit.models.weights import write_tensors

_TREE = "tree"  # the key of the metadata that holds everything but the tensors


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensor = value.detach().cpu()
        last = tensor.ndim == 4 and not tensor.is_contiguous()
        tensors[name] = tensor.clone(memory_format=torch.contiguous_format)
        # Optimisers pair a weight with its state in memory order: keep the layout.
        return {"__tensor__": name, "channels_last": last}
    if isinstance(value, Mapping):
        items = [[_encode(k, tensors), _encode(v, tensors)] for k, v in value.items()]
        return {"__items__": items}
    if isinstance(value, list | tuple):
        kind = "__list__" if isinstance(value, list) else "__tuple__"
        return {kind: [_encode(item, tensors) for item in value]}
    raise TrainingError(f"a checkpoint cannot hold a {type(value).__name__}: {value!r}")


def _decode(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    if "__tensor__" in node:
        tensor = tensors[node["__tensor__"]]
        layout = torch.channels_last if node["channels_last"] else torch.contiguous_format
        return tensor.contiguous(memory_format=layout)
    if "__items__" in node:
        return {_decode(k, tensors): _decode(v, tensors) for k, v in node["__items__"]}
    if "__tuple__" in node:
        return tuple(_decode(item, tensors) for item in node["__tuple__"])
    return [_decode(item, tensors) for item in node["__list__"]]


class SafetensorsCheckpointIO(CheckpointIO):
    """Lets Lightning save and resume without pickle, each file whole or not at all."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint: tensors, numbers, text, lists and mappings of these."""
        del storage_options
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_encode(checkpoint, tensors))
        write_tensors(tensors, Path(path), {_TREE: tree})

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            RunError: It is damaged.
        """
        del map_location, weights_only  # read to the CPU; nothing but data can be in the file
        refuse_lfs_pointer(path, RunError)
        try:
            with safetensors.safe_open(path, framework="pt") as stream:
                tree = json.loads((stream.metadata() or {})[_TREE])
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            result: dict[str, Any] = _decode(tree, tensors)
        except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
            raise RunError(
                f"checkpoint {path} is damaged ({error}); delete it and resume: training starts "
                "again from the first epoch."
            ) from error
        return result

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint file."""
        Path(path).unlink(missing_ok=True)
