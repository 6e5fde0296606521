"""Names of MSDNet's tensors in the published code."""

from typing import cast

from torch import nn

from endoexit.models.msdnet.config import MSDNetConfig, Place
from endoexit.models.msdnet.network import Block, MSDNet
from endoexit.models.staged import Stage


def published_prefixes(model: MSDNet) -> dict[str, str]:
    """Return, for each module with weights, its prefix in the published state dict.

    Both published codes count modules within a block: the stem, layers, transitions. Cells of a
    lazy network are in a later stage than their published block.
    """
    variant = model.config.prune == "min"
    names: dict[str, str] = {}
    for number, stage in enumerate(model.stages):
        block = cast(Block, cast(Stage, stage).trunk[0])
        prefix = f"stages.{number}.trunk.0"
        if block.stem is not None:
            for scale, layer in enumerate(block.stem.maps):
                inner = "" if variant or (scale == 0 and model.config.stem == "pool") else ".net"
                published = f"blocks.0.0.{'mods' if variant else 'layers'}.{scale}{inner}"
                for i in _weighted(layer):
                    names[f"{prefix}.stem.maps.{scale}.{i}"] = f"{published}.{i}"
        for index, place in enumerate(block.places):
            names |= _published_cell(model.config, place, f"{prefix}.cells.{index}", variant)
        head = f"stages.{number}.head"
        old = f"exits.{number}" if variant else f"classifier.{number}.m"
        for j in (0, 1):
            for i in (0, 1):
                middle = "" if variant else ".net"
                names[f"{head}.reduce.{j}.{i}"] = f"{old}.{j}{middle}.{i}"
        last = f"exits.{number}.4" if variant else f"classifier.{number}.linear"
        names[f"{head}.classify"] = last
    return names


def _weighted(layers: nn.Module) -> list[int]:
    return [
        i for i, layer in enumerate(layers.children()) if next(layer.parameters(), None) is not None
    ]


def _published_cell(
    config: MSDNetConfig, place: Place, prefix: str, variant: bool
) -> dict[str, str]:
    layer, scale = place
    number = next(i for i, end in enumerate(config.ends) if layer <= end)
    begin = 0 if number == 0 else config.ends[number - 1]
    # Modules of the block before this layer: the stem, its layers and their transitions.
    index = (number == 0) + (layer - begin - 1)
    index += sum(config.has_transition(before) for before in range(begin + 1, layer))
    at = scale - 1 if variant else scale - config.finest(layer)
    cell = f"blocks.{number}.{index}.{'mods' if variant else 'layers'}.{at}"
    parts = {"normal": "conv" if variant else "conv_normal", "down": "conv_down"}
    if layer == 0 or scale - 1 < config.finest(layer - 1):
        del parts["down"]
    names = {}
    for part, published in parts.items():
        for j in (0, 1):
            for i in (0, 1):
                inner = f"{j}.{i}" if variant else f"net.{3 * j + i}"
                names[f"{prefix}.{part}.{j}.{i}"] = f"{cell}.{published}.{inner}"
    if config.has_transition(layer):
        for i in (0, 1):
            inner = f"conv.{at}.{i}" if variant else f"m.{at}.net.{i}"
            names[f"{prefix}.transition.{i}"] = f"blocks.{number}.{index + 1}.{inner}"
    return names
