"""Weights that a training starts from: read, described, put into the network."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from endoexit.errors import ModelError, UsageError
from endoexit.files import sha256_file
from endoexit.models import timm_networks
from endoexit.models.backbones import BackboneConfig, build_from
from endoexit.models.catalog import model_config
from endoexit.models.collaboration import CollaboratingHead, collaborates
from endoexit.models.origin import Origin
from endoexit.models.pretrained import (
    PACKAGED,
    PREFIX,
    Loaded,
    load_backbone,
    packaged,
    read_weights,
)
from endoexit.models.published import load_published
from endoexit.models.spec import NetworkSpec
from endoexit.models.staged import StagedClassifier


@dataclass(frozen=True)
class Start:
    """Weights and what is known of them.

    Attributes:
        origin: Where they come from.
        tensors: Tensors by the names of the network; None for those that timm fetches.
    """

    origin: Origin
    tensors: Mapping[str, Tensor] | None = field(repr=False)


def read_start(source: str, spec: NetworkSpec) -> Start:
    """Read starting weights for a network.

    Args:
        source: `pip:lite0` and the like, `timm`, or a file (.safetensors, .pth, .pt).
        spec: The network.

    Raises:
        UsageError: No such package, it is not installed, or it is for another network.
        ModelError: The file is missing, damaged, changed, or holds more than tensors.
    """
    if source.startswith(PREFIX):
        known = packaged(source.removeprefix(PREFIX))
        if known.network != spec.name:
            fitting = [f"{PREFIX}{name}" for name, p in PACKAGED.items() if p.network == spec.name]
            remedy = f"take {fitting[0]}" if fitting else f"take --model {known.network}"
            raise UsageError(f"{source} has weights of {known.network}, not {spec.name}: {remedy}.")
        return Start(known.origin, read_weights(source))
    timm = spec.name.startswith(timm_networks.PREFIX)
    timm_name = spec.name.removeprefix(timm_networks.PREFIX)
    if source == timm_networks.HUB:
        if not timm:
            raise UsageError(
                f"--weights timm is for networks of timm, not {spec.name}: take --model "
                f"timm:NAME, or name a file of weights."
            )
        return Start(timm_networks.origin(timm_name, source), None)
    tensors = read_weights(source)
    sha256 = sha256_file(Path(source))
    if timm:
        return Start(timm_networks.origin(timm_name, source, sha256), tensors)
    origin = Origin(source=source, sha256=sha256)
    same = next((p.origin for p in PACKAGED.values() if p.network == spec.name), None)
    if same is not None:  # made for the same images; who trained it is not known
        origin = origin.replaced(
            size=same.size, mean=same.mean, std=same.std, interpolation=same.interpolation
        )
    return Start(origin, tensors)


def start_from(spec: NetworkSpec, start: Start) -> tuple[StagedClassifier, Origin]:
    """Return a network with its starting weights, and their origin with what was read.

    Weights can be those of the whole network before it was cut, those of a run of the same
    network (whatever its classes), or those of the family's published code.

    Raises:
        ModelError: The weights are of another network.
        UsageError: The network cannot be built.
    """
    config = model_config(spec.name, **spec.settings)
    tensors = start.tensors
    if isinstance(config, BackboneConfig) and (tensors is None or not _is_staged(tensors)):
        model, loaded = build_from(config, spec.classes, spec.size, tensors)
    else:
        model = spec.build()
        loaded = _load_staged(model, tensors or {})
    return model, start.origin.replaced(
        read=loaded.read, left_out=loaded.left_out, fresh=loaded.fresh
    )


def check_origin(origin: Origin, expected: Origin) -> None:
    """Raise ModelError if starting weights are not those that a training began with."""
    if origin.sha256 != expected.sha256:
        raise ModelError(
            f"{origin.source} was changed since this training began (its SHA-256 differs): put the "
            "former file back, or start a new training."
        )


def _is_staged(tensors: Mapping[str, Tensor]) -> bool:
    return any(re.match(r"stages\.\d+\.(trunk|head)\.", name) for name in tensors)


def _load_staged(model: StagedClassifier, tensors: Mapping[str, Tensor]) -> Loaded:
    """Load the weights of a run, or published ones."""
    if _is_staged(tensors):
        return load_backbone(model, tensors, optional=_last_layers(model))
    if collaborates(model):
        raise ModelError(
            "published weights are of networks whose exits answer alone: leave out "
            "model.collaborate, or start from fresh weights."
        )
    report = load_published(model, tensors)
    return Loaded(report.loaded, report.left_out, report.not_in_published)


def _last_layers(model: StagedClassifier) -> tuple[str, ...]:
    """Return the prefixes of the layers whose sizes are the number of classes."""
    prefixes = []
    for number, stage in enumerate(model.stages):
        head: nn.Module = stage.head  # type: ignore[assignment]
        linear = [name for name, layer in head.named_modules() if isinstance(layer, nn.Linear)]
        if linear:
            prefixes.append(f"stages.{number}.head.{linear[-1]}.")
        if isinstance(head, CollaboratingHead) and head.lift is not None:  # reads logits
            prefixes.append(f"stages.{number}.head.lift.0.")
    return tuple(prefixes)
