"""The networks by name, and how to make one.

A new network is a file in this folder and a row in `FAMILIES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from endoexit.errors import UsageError, unknown_name
from endoexit.models import backbones
from endoexit.models.hifuse import network as hifuse
from endoexit.models.staged import StagedClassifier


@dataclass(frozen=True)
class Family:
    """Networks of one kind.

    Attributes:
        settings: Class of their settings, with a method `replaced(changes)` that refuses what
            it does not know.
        build: From settings, a number of classes and the side of the images in pixels to a
            network with fresh weights.
        twin: Settings that take the early exits away; None where no such network exists.
        names: Settings of each network that has a name.
    """

    settings: type
    build: Callable[[Any, int, int], StagedClassifier]
    twin: Mapping[str, Any] | None
    names: Mapping[str, Any]


FAMILIES: dict[str, Family] = {
    "efficientnet_lite": Family(
        backbones.BackboneConfig, backbones.build, {"exits": backbones.NONE}, backbones.NAMES
    ),
    "hifuse": Family(
        hifuse.HiFuseConfig,
        lambda settings, classes, _: hifuse.HiFuse(settings, classes),
        {"exits": ()},
        hifuse.NAMES,
    ),
}


def list_models() -> list[str]:
    """Return the names of all networks in the catalog, sorted."""
    return sorted(name for family in FAMILIES.values() for name in family.names)


def family_of(name: str) -> str:
    """Return the name of the family that a network belongs to.

    Raises:
        UsageError: no such network; the nearest one is named.
    """
    for family, row in FAMILIES.items():
        if name in row.names:
            return family
    raise unknown_name("model", name, list_models())


def model_config(name: str, **overrides: Any) -> Any:
    """Return a network's settings, an object of its family's class.

    Args:
        name: a name of the catalog.
        overrides: settings to change, such as `width=48`.

    Raises:
        UsageError: no such name or setting (the nearest one is named), or a
            value that does not fit.
    """
    return FAMILIES[family_of(name)].names[name].replaced(overrides)


def create_model(
    name: str, num_classes: int, *, size: int = 224, **overrides: Any
) -> StagedClassifier:
    """Return a freshly initialised network.

    Args:
        name: a name of the catalog, see `list_models`.
        num_classes: at least 2.
        size: Side in pixels of the images that places of exits are chosen for; a network that
            computes on any size still does.
        overrides: settings to change.

    Raises:
        UsageError: see `model_config`; or fewer than 2 classes.
    """
    settings = model_config(name, **overrides)
    if num_classes < 2:
        raise UsageError(f"num_classes must be at least 2, got {num_classes}.")
    return FAMILIES[family_of(name)].build(settings, num_classes, size)


def single_exit_twin(name: str) -> str:
    """Return the name of the same network without early exits (itself if it has none).

    Raises:
        UsageError: no such network, or the catalog has no twin of it.
    """
    family = FAMILIES[family_of(name)]
    if family.twin is not None:
        wanted = family.names[name].replaced(dict(family.twin))
        for twin, settings in family.names.items():
            if settings == wanted:
                return twin
    raise UsageError(f"the catalog has no network that is {name} without its early exits.")
