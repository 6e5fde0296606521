"""Networks that are cut behind their layers: their settings, and how they are built."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from endoexit.errors import UsageError
from endoexit.models import timm_networks, user_networks
from endoexit.models.collaboration import collaborating
from endoexit.models.cut import uncut, with_exits
from endoexit.models.efficientnet_lite import SCALINGS, EfficientNetLite
from endoexit.models.exit_heads import AUTO, heads_of, require_settings
from endoexit.models.placement import read_exits
from endoexit.models.pretrained import Loaded, load_backbone
from endoexit.models.staged import NetworkSettings, SizeError, StagedClassifier

NONE = "none"  # of `exits`: the network whole
SIDE = 224  # of ImageNet's images
TRIES = 12  # sides that are tried for one that a network takes


VARIANTS = {f"efficientnet_lite{variant}": variant for variant in SCALINGS}


@dataclass(frozen=True)
class BackboneConfig(NetworkSettings):
    """Where the exits of a network are, and what they are made of.

    Attributes:
        network: Name of the whole network.
        exits: Layers behind which it is cut: `auto`, numbers of groups or names of layers with
            commas between them, or `none`. A list of these is taken as well.
        head: Name of the exit head, or one for each exit with commas between them; see
            `endoexit.models.exit_heads.HEADS`. A list of names is taken as well. "auto" is `rdi`
            at the first exit and `conv` at the others.
        head_settings: Settings of the exit heads. Each goes to the heads that have it.
        dropout: Dropout before the last layer of the network and of heads that have one.
        code_sha256: SHA-256 of the file of a user's network; None where it is not known yet.
        collaborate: Whether each exit reads the answer of the one before; see
            `endoexit.models.collaboration`.
    """

    kept = ("network",)

    network: str
    exits: str = "auto"
    head: str = AUTO
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    dropout: float = 0.2
    code_sha256: str | None = None
    collaborate: bool = False

    def __post_init__(self) -> None:
        exits: Any = self.exits
        if isinstance(exits, list | tuple):
            exits = ",".join(map(str, exits)) or NONE
        object.__setattr__(self, "exits", str(exits).replace(" ", ""))
        head: Any = self.head
        if isinstance(head, list | tuple):
            head = ",".join(map(str, head))
        object.__setattr__(self, "head", str(head).replace(" ", ""))
        require_settings(self.head, self.head_settings)
        if not isinstance(self.collaborate, bool):
            raise UsageError(f"collaborate must be true or false, got {self.collaborate!r}.")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float):
            raise UsageError(f"dropout must be a number, got {self.dropout!r}.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be in [0, 1), got {self.dropout}.")


NAMES = {name: BackboneConfig(name) for name in VARIANTS}


def of_timm(name: str) -> BackboneConfig | None:
    """Return the settings of a network of timm; None for other names."""
    return BackboneConfig(name) if name.startswith(timm_networks.PREFIX) else None


def of_file(name: str) -> BackboneConfig | None:
    """Return the settings of a network that a user's file makes; None for other names."""
    return BackboneConfig(name) if user_networks.is_one(name) else None


def side(config: BackboneConfig) -> int:
    """Return the side in pixels of the images that a network is meant for, 224 if unknown."""
    if config.network.startswith(timm_networks.PREFIX):
        return timm_networks.side(config.network.removeprefix(timm_networks.PREFIX))
    variant = VARIANTS.get(config.network)
    return SIDE if variant is None else SCALINGS[variant].side


def make_module(
    config: BackboneConfig, num_classes: int, size: int, *, pretrained: bool = False
) -> nn.Module:
    """Return the whole network, not cut.

    Args:
        config: The network's settings.
        num_classes: Number of classes C.
        size: Side in pixels of its images.
        pretrained: Whether timm fetches the weights, for a network of timm.

    Raises:
        UsageError: No such network, or it cannot be made for images of this size.
        ModelError: The file of a user's network was changed, or weights cannot be fetched.
    """
    name = config.network
    if name.startswith(timm_networks.PREFIX):
        timm_name = name.removeprefix(timm_networks.PREFIX)
        return timm_networks.make(timm_name, num_classes, size, pretrained=pretrained)
    if user_networks.is_one(name):
        return user_networks.make(name, num_classes, config.code_sha256)
    return EfficientNetLite(VARIANTS[name], num_classes)


def settled(config: BackboneConfig, num_classes: int, size: int) -> BackboneConfig:
    """Return settings that say the same wherever and whenever they are read.

    Exits are named by layers, "auto" becomes the name of a head for each; a user's file has its
    whole path and its SHA-256.

    Raises:
        UsageError: A group that does not exist, no place for an exit, or no such file.
    """
    if user_networks.is_one(config.network):
        code = user_networks.code_sha256(config.network)
        config = replace(config, network=user_networks.absolute(config.network), code_sha256=code)
    module = make_module(config, num_classes, size)
    layers = _layers(config, module, size)
    if config.head == AUTO and layers:
        config = replace(config, head=",".join(heads_of(AUTO, len(layers))))
    return replace(config, exits=",".join(layers) or NONE)


def _layers(config: BackboneConfig, module: nn.Module, size: int) -> tuple[str, ...]:
    return () if config.exits == NONE else read_exits(config.exits, module, size)


def build(config: BackboneConfig, num_classes: int, size: int) -> StagedClassifier:
    """Return the network with its exits and fresh weights.

    Raises:
        UsageError: Unknown layers or head, or images of this size do not fit.
        ModelError: The network cannot be cut there.
    """
    try:
        return _cut(config, make_module(config, num_classes, size), num_classes, size)
    except SizeError as error:
        near = nearest_side(config, num_classes, size)
        if near is None:
            raise
        raise SizeError(f"{error} The nearest that it takes is {near}.") from error


def nearest_side(config: BackboneConfig, num_classes: int, size: int) -> int | None:
    """Return the nearest side of images that a network takes, among a few; None if it takes none.

    Args:
        config: The network's settings.
        num_classes: Number of classes C.
        size: Side in pixels that it does not take.
    """
    sides = {side for step in (16, 32, 224) for side in range(step, 2 * size + 225, step)}
    for side in sorted(sides, key=lambda side: abs(side - size))[:TRIES]:
        try:
            with torch.device("meta"), torch.no_grad():
                module = make_module(config, num_classes, side).eval()
                module(torch.zeros(2, 3, side, side))
        except Exception:  # noqa: S112  (layers refuse sizes with errors of every kind)
            continue
        return side
    return None


def build_from(
    config: BackboneConfig, num_classes: int, size: int, tensors: Mapping[str, Tensor] | None
) -> tuple[StagedClassifier, Loaded]:
    """Return the network with weights of the whole network, its exits fresh.

    Args:
        config: The network's settings.
        num_classes: Number of classes C; a last layer of another number stays fresh.
        size: Side in pixels of its images.
        tensors: Weights by the names of the whole network; None for those that timm fetches.

    Raises:
        UsageError: See `build`.
        ModelError: The weights are of another network.
    """
    module = make_module(config, num_classes, size, pretrained=tensors is None)
    last = last_layer(module, num_classes)
    if tensors is None:
        new = tuple(name for name in module.state_dict() if name.startswith(last))
        loaded = Loaded(len(module.state_dict()) - len(new), (), new)
    else:
        loaded = load_backbone(module, tensors, optional=last)
    return _cut(config, module, num_classes, size), loaded


def last_layer(module: nn.Module, num_classes: int) -> tuple[str, ...]:
    """Return the prefix of the tensors of a network's last linear layer; empty without one."""
    names = [
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == num_classes
    ]
    return (f"{names[-1]}.",) if names else ()


def _cut(
    config: BackboneConfig, module: nn.Module, num_classes: int, size: int
) -> StagedClassifier:
    layers = _layers(config, module, size)
    if layers:
        network = with_exits(
            module,
            layers,
            num_classes,
            config.head,
            size=size,
            head_settings=dict(config.head_settings),
        )
    else:
        network = uncut(module, num_classes, size)
    for stage in network.stages:
        for layer in stage.head.modules():  # type: ignore[union-attr]
            if isinstance(layer, nn.Dropout):
                layer.p = config.dropout
    return collaborating(network) if config.collaborate else network
