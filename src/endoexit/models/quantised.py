"""Networks that compute as int8 does: fake quantisation by NNCF in every stage."""

import contextlib
import copy
import importlib.util
import io
import json
import logging
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from endoexit.errors import UsageError
from endoexit.models.cascade import CascadeStage
from endoexit.models.staged import Stage, StagedClassifier, State

Structure = tuple[dict[str, Any], ...]
"""For each stage, which quantiser is at which operation."""

_LAYERS = ("nncf.torch.quantization.layers",)


def simplified(model: StagedClassifier) -> StagedClassifier:
    """Return a copy in which blocks that can be one convolution at inference are one (RepVGG).

    Such blocks have a method `reparameterize` or `switch_to_deploy`, as those of timm do.
    """
    copied = copy.deepcopy(model)
    for block in list(copied.modules()):
        for name in ("reparameterize", "switch_to_deploy"):
            merge = getattr(block, name, None)
            if callable(merge):
                merge()
                break
    return copied


def with_convolutions(model: StagedClassifier) -> StagedClassifier:
    """Return a copy in which 1×1 convolutions stand for linear layers over maps.

    For few channels OpenVINO computes them faster, and a convolution needs no other layout than
    its neighbours.
    """
    copied = copy.deepcopy(model)
    for module in list(copied.modules()):
        for name, layer in list(module.named_children()):
            as_convolution = getattr(layer, "as_convolution", None)
            if as_convolution is not None:
                setattr(module, name, as_convolution())
    return copied


def quantised(model: StagedClassifier, images: Sequence[Tensor]) -> StagedClassifier:
    """Return a copy whose stages quantise what int8 does, with the ranges that images show.

    Args:
        model: Network in evaluation mode.
        images: Normalised batches (B, 3, S, S).

    Raises:
        UsageError: NNCF is not installed.
    """
    nncf = _nncf()
    deployed = with_convolutions(simplified(model))
    states: list[State] = [(batch,) for batch in images]
    for number, stage in enumerate(list(deployed.stages)):
        with torch.no_grad():
            after = [cast(Stage, stage)(state)[0] for state in states]
        with quiet_nncf():
            deployed.stages[number] = nncf.quantize(
                stage,
                nncf.Dataset([(state,) for state in states]),
                advanced_parameters=advanced(),
                **settings(len(states), _classifier(cast(Stage, stage), states[0])),
            )
        states = after
    return deployed


def settings(images: int, classifier: str | None) -> dict[str, Any]:
    """Return how NNCF quantises a stage: weights per channel, activations per tensor.

    What suffers most (softmax, normalisations) stays in floating point, and so does the linear
    layer that gives the logits: it takes hardly any time, rounding its input takes more, and its
    errors are those of the confidences.

    Args:
        images: Number of images that show the ranges.
        classifier: Name of the layer that gives the logits; None where it is not known.
    """
    nncf = _nncf()
    return {
        "preset": nncf.QuantizationPreset.MIXED,
        "model_type": nncf.ModelType.TRANSFORMER,
        "subset_size": images,
        "ignored_scope": nncf.IgnoredScope(names=[] if classifier is None else [classifier]),
    }


def _classifier(stage: Stage, state: State) -> str | None:
    """Return NNCF's name of the linear layer whose answer the logits of a stage are."""
    answers: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, answer, name=name: answers.update({name: answer}))
        for name, layer in stage.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        with torch.no_grad():
            _, logits = stage(state)
    finally:
        for hook in hooks:
            hook.remove()
    names = (
        f"{name.replace('.', '/')}/linear/0" for name, each in answers.items() if each is logits
    )
    return next(names, None)


Ranges = Literal["MINMAX", "MEAN_MINMAX"]
"""Ranges that hold all that the images show, or the mean of the images' ranges."""


def advanced(ranges: Ranges = "MINMAX") -> Any:
    """Return NNCF's advanced parameters.

    Args:
        ranges: Ranges of activations. The mean, which NNCF takes by default, cuts what the
            strongest images have. All leaves few steps to the others where one channel is by far
            the largest.
    """
    nncf = _nncf()
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet  # noqa: PLC0415

    return nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=getattr(RangeEstimatorParametersSet, ranges)
    )


def structure_of(model: StagedClassifier) -> Structure:
    """Return where a network quantises, as values of JSON."""
    from nncf.torch import get_config  # noqa: PLC0415  (an extra)

    return tuple(json.loads(json.dumps(get_config(_quantising(stage)))) for stage in model.stages)


def _quantising(stage: nn.Module) -> nn.Module:
    """Return the module of a stage that quantises: in a cascade, that of its member."""
    return stage.member if isinstance(stage, CascadeStage) else stage


def restored(model: StagedClassifier, structure: Structure) -> StagedClassifier:
    """Return a network that quantises where `structure` says, its ranges not yet read.

    Args:
        model: The same network, or a cascade of such networks, without quantisation.
        structure: See `structure_of`.

    Raises:
        UsageError: NNCF is not installed.
    """
    _nncf()
    from nncf.torch import load_from_config  # noqa: PLC0415

    deployed = with_convolutions(simplified(model))
    for number, (stage, each) in enumerate(zip(list(deployed.stages), structure, strict=True)):
        inner = load_from_config(_quantising(stage), each, allowed_modules=_LAYERS)
        if isinstance(stage, CascadeStage):
            stage.member = inner
        else:
            deployed.stages[number] = inner
    return deployed


def exportable(model: StagedClassifier) -> StagedClassifier:
    """Return a copy with PyTorch's own fake quantisation, which exporters know.

    Args:
        model: Network of `quantised`, or a cascade of such networks, in evaluation mode.
    """
    _nncf()
    from nncf.torch.function_hook.wrapper import get_hook_storage  # noqa: PLC0415
    from nncf.torch.quantization.layers import BaseQuantizer  # noqa: PLC0415

    copied = copy.deepcopy(model)
    for stage in copied.stages:
        storage = get_hook_storage(_quantising(stage))
        for name, hook in list(storage.named_hooks()):
            if isinstance(hook, BaseQuantizer):
                storage.set_submodule(name, _FakeQuantise(hook))
    return copied


class _FakeQuantise(nn.Module):
    """A trained quantiser of NNCF as one operation of PyTorch."""

    def __init__(self, trained: Any) -> None:
        super().__init__()
        low, high, scale, zero = trained.get_parameters_for_torch_fq()
        self._low, self._high = int(low), int(high)
        self._axis = (
            int(torch.tensor(trained.scale_shape).argmax()) if trained.per_channel else None
        )
        self.register_buffer("scale", scale.detach().reshape(-1))
        self.register_buffer("zero", zero.detach().reshape(-1).to(torch.int32))

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape, rounded to those that int8 has."""
        scale, zero = cast(Tensor, self.scale), cast(Tensor, self.zero)
        if self._axis is None:
            return torch.fake_quantize_per_tensor_affine(
                values, float(scale), int(zero), self._low, self._high
            )
        return torch.fake_quantize_per_channel_affine(
            values, scale, zero, self._axis, self._low, self._high
        )


def is_quantised(model: nn.Module) -> bool:
    """Return whether a network quantises what int8 does."""
    return any("__nncf_hooks" in name for name, _ in model.named_modules())


def _nncf() -> Any:
    """Return NNCF, at work without a compiler.

    Its quantisers would compile C++ when they are first called. It has the same in PyTorch.
    """
    if importlib.util.find_spec("nncf") is None:
        raise UsageError("a network that was trained for int8 needs nncf: "
                         "pip install 'endoexit[int8]'.")  # fmt: skip
    import nncf  # noqa: PLC0415  (an extra, slow to import)
    from nncf.torch.quantization.extensions import QuantizedFunctionsCPU  # noqa: PLC0415
    from nncf.torch.quantization.reference import torch_executor  # noqa: PLC0415

    QuantizedFunctionsCPU._loaded_namespace = SimpleNamespace(
        Quantize_forward=torch_executor.forward, Quantize_backward=torch_executor.backward
    )
    return nncf


@contextlib.contextmanager
def quiet_nncf() -> Iterator[None]:
    """Keep NNCF from writing on standard output, where answers go, and from logging."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
