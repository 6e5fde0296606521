"""Stages run on tensors without memory: shapes and layouts only, at no cost."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from endoexit.errors import ModelError
from endoexit.models.staged import StagedClassifier, State
from endoexit.models.state import StateSpec, TensorSpec, derived_names

# Batch normalisation in training mode refuses one value a channel, so a pair of images is run.
BATCH = 2


def blank_images(size: int) -> State:
    """Return the input state of a dry run: a batch without memory."""
    return (torch.empty(BATCH, 3, size, size, device="meta"),)


def dry_run(stage: nn.Module, state: State) -> State:
    """Return the state after a stage, shapes only: nothing is computed or changed."""
    weights = dict(stage.named_parameters()) | dict(stage.named_buffers())
    shapes = {name: tensor.to("meta") for name, tensor in weights.items()}
    with torch.no_grad():
        after: State = functional_call(stage, shapes, (state,))[0]
    return after


def find_state(model: StagedClassifier, size: int, *, real: bool = False) -> StateSpec:
    """Find what each stage of a network hands on, by one dry run.

    Args:
        model: Network, which is not changed.
        size: Side in pixels of the square image.
        real: Whether stages run on black images. Some layers lay out maps in another way there
            than on tensors without memory, and an exported graph takes them as they are.

    Raises:
        UsageError: Images of this size do not fit the network.
        ModelError: A stage hands on what cannot be handed on.
    """
    model.check_size(size, size)
    state = (torch.zeros(BATCH, 3, size, size),) if real else blank_images(size)
    stages: list[tuple[TensorSpec, ...]] = []
    for number, stage in enumerate(list(model.stages)[:-1], start=1):
        state = _run(stage, state) if real else dry_run(stage, state)
        names = model.state_names or derived_names([tensor.ndim - 1 for tensor in state])
        if len(names) != len(state):
            raise ModelError(
                f"stage {number} hands on {len(state)} tensors, but the network names "
                f"{len(names)}: {', '.join(names)}. Name each of them in state_names."
            )
        for name, tensor in zip(names, state, strict=True):
            if tensor.ndim < 1 or len(tensor) != BATCH or not tensor.is_floating_point():
                raise ModelError(
                    f"stage {number} hands on {name} as {tensor.dtype} of shape "
                    f"{tuple(tensor.shape)} for {BATCH} images: a state holds floating-point "
                    "tensors whose first dimension is the batch."
                )
        stages.append(tuple(map(_spec, names, state)))
    return StateSpec(stages=(*stages, ()))


def _run(stage: nn.Module, state: State) -> State:
    was_training = stage.training
    with torch.inference_mode():
        after: State = stage.eval()(state)[0]
    stage.train(was_training)
    return after


def _spec(name: str, tensor: Tensor) -> TensorSpec:
    last = channels_last(tensor)
    shape = tuple((tensor.permute(0, 2, 3, 1) if last else tensor).shape[1:])
    return TensorSpec(name=name, shape=shape, channels_last=last)


def channels_last(tensor: Tensor) -> bool:
    """Tell whether a map (B, C, H, W) lies in memory as (B, H, W, C)."""
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return last and not tensor.is_contiguous()
