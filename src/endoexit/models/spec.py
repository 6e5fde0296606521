"""`NetworkSpec`: which network, with what settings, for how many classes and what images."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from endoexit.models.backbones import BackboneConfig, settled
from endoexit.models.catalog import (
    FAMILIES,
    create_model,
    family_of,
    model_config,
)
from endoexit.models.cost import Complexity, measure_complexity
from endoexit.models.dry_run import find_state
from endoexit.models.staged import StagedClassifier
from endoexit.models.state import StateSpec


@dataclass(frozen=True)
class NetworkSpec:
    """One network of the catalog on images of a size.

    Attributes:
        name: Name in the catalog.
        classes: Number of classes C, at least 2.
        size: Side in pixels of the square image.
        settings: Settings that differ from the catalog's.
    """

    name: str
    classes: int
    size: int
    settings: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def family(self) -> str:
        """Name of the family in the catalog that the network belongs to."""
        return family_of(self.name)

    def build(self) -> StagedClassifier:
        """Return the network with fresh weights.

        Raises:
            UsageError: Unknown name or setting, or images of this size do not fit.
        """
        model = create_model(self.name, self.classes, size=self.size, **self.settings)
        model.check_size(self.size, self.size)
        return model

    def build_blank(self) -> StagedClassifier:
        """Return the network with weights that take no memory (device "meta")."""
        with torch.device("meta"):
            return self.build()

    def settled(self) -> "NetworkSpec":
        """Return the same network with settings that do not depend on where they are read.

        Exits are named by layers, in place of `auto` or numbers, with the name of a head for each.

        Raises:
            UsageError, ModelError: The network cannot be cut there.
        """
        config = model_config(self.name, **self.settings)
        if not isinstance(config, BackboneConfig):
            return self
        with torch.device("meta"):
            sure = settled(config, self.classes, self.size)
        settings = self.settings | {"exits": sure.exits}
        if sure.head != config.head:
            settings["head"] = sure.head
        if sure.code_sha256 is not None:
            settings["code_sha256"] = sure.code_sha256
        return replace(self, name=sure.network, settings=settings)

    @cached_property
    def complexity(self) -> Complexity:
        """Parameters and multiply-adds of each exit."""
        return measure_complexity(self.build_blank(), self.size)

    @cached_property
    def state(self) -> StateSpec:
        """What each stage hands on."""
        return find_state(self.build_blank(), self.size)

    @property
    def num_exits(self) -> int:
        """Number of exits M, the final one included."""
        return len(self.complexity.macs)

    def build_whole(self) -> StagedClassifier:
        """Return the network in one stage, without the heads of its early exits.

        Of a cascade it is the last member.
        """
        settings = {name: v for name, v in self.settings.items() if name != "collaborate"}
        twin = FAMILIES[self.family].twin
        if twin is not None:
            return replace(self, settings=settings | dict(twin)).build()
        return replace(self, settings=settings).build().whole()
