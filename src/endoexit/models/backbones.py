"""Networks that are cut behind their layers: their settings, and how they are built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from endoexit.errors import UsageError, unknown_name
from endoexit.models.cut import uncut, with_exits
from endoexit.models.efficientnet_lite import EfficientNetLite
from endoexit.models.exit_heads import head_settings
from endoexit.models.placement import read_exits
from endoexit.models.pretrained import Loaded, load_backbone
from endoexit.models.staged import StagedClassifier

NONE = "none"  # of `exits`: the network whole


def _lite(variant: int) -> Callable[[int], nn.Module]:
    return lambda classes: EfficientNetLite(variant, classes)


MAKERS: dict[str, Callable[[int], nn.Module]] = {
    f"efficientnet_lite{variant}": _lite(variant) for variant in (0, 1, 2)
}


@dataclass(frozen=True)
class BackboneConfig:
    """Where the exits of a network are, and what they are made of.

    Attributes:
        network: Name of the whole network.
        exits: Layers behind which it is cut: `auto`, numbers of groups or names of layers with
            commas between them, or `none`. A list of these is taken as well.
        head: Name of the exit head; see `endoexit.models.exit_heads.HEADS`.
        head_settings: Settings of the exit head.
        dropout: Dropout before the last layer of the network and of heads that have one.
    """

    network: str
    exits: str = "auto"
    head: str = "conv"
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    dropout: float = 0.2

    def __post_init__(self) -> None:
        exits: Any = self.exits
        if isinstance(exits, list | tuple):
            exits = ",".join(map(str, exits)) or NONE
        object.__setattr__(self, "exits", str(exits).replace(" ", ""))
        for name in self.head_settings:
            if name not in (known := head_settings(self.head)):
                raise unknown_name(f"setting of the head {self.head}", name, known)
        head_settings(self.head)
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float):
            raise UsageError(f"dropout must be a number, got {self.dropout!r}.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be in [0, 1), got {self.dropout}.")

    def replaced(self, changes: Mapping[str, Any]) -> "BackboneConfig":
        """Return a copy with some settings changed; a misspelt one raises UsageError."""
        known = [name for name in self.__dataclass_fields__ if name != "network"]
        for name in changes:
            if name not in known:
                raise unknown_name("model setting", name, known)
        return replace(self, **changes)


NAMES = {name: BackboneConfig(name) for name in MAKERS}


def layers_of_exits(config: BackboneConfig, num_classes: int, size: int) -> tuple[str, ...]:
    """Return the names of the layers behind which a network is cut.

    Args:
        config: The network's settings.
        num_classes: Number of classes C.
        size: Side in pixels of its images, on which `auto` depends.

    Raises:
        UsageError: A group that does not exist, or no place for an exit.
    """
    return _layers(config, MAKERS[config.network](num_classes), size)


def _layers(config: BackboneConfig, module: nn.Module, size: int) -> tuple[str, ...]:
    return () if config.exits == NONE else read_exits(config.exits, module, size)


def build(config: BackboneConfig, num_classes: int, size: int) -> StagedClassifier:
    """Return the network with its exits and fresh weights.

    Raises:
        UsageError: Unknown layers or head, or images of this size do not fit.
        ModelError: The network cannot be cut there.
    """
    return _cut(config, MAKERS[config.network](num_classes), num_classes, size)


def build_from(
    config: BackboneConfig, num_classes: int, size: int, tensors: Mapping[str, Tensor]
) -> tuple[StagedClassifier, Loaded]:
    """Return the network with weights of the whole network, its exits fresh.

    Args:
        config: The network's settings.
        num_classes: Number of classes C; a last layer of another number stays fresh.
        size: Side in pixels of its images.
        tensors: Weights by the names of the whole network.

    Raises:
        UsageError: See `build`.
        ModelError: The weights are of another network.
    """
    module = MAKERS[config.network](num_classes)
    loaded = load_backbone(module, tensors, optional=last_layer(module, num_classes))
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
    return network
