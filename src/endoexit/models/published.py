"""Weights of the published code of any family, by its own names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from endoexit.errors import ModelError
from endoexit.models import bag_of_features, branchynet, rdi
from endoexit.models.msdnet import published as msdnet
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.staged import StagedClassifier
from endoexit.models.weights import PublishedReport

SHOWN = 10  # faults that an error lists


@dataclass(frozen=True)
class Published:
    """How the published code of a family names its tensors.

    Attributes:
        network: Class of the family's networks.
        prefixes: Function that gives, for each module with weights, its published prefix.
        unused: Published tensors that the published code makes and never uses.
    """

    network: type[StagedClassifier]
    prefixes: Callable[[Any], dict[str, str]]
    unused: tuple[str, ...] = ()


FAMILIES = (
    Published(MSDNet, msdnet.published_prefixes),
    Published(branchynet.BranchyNet, branchynet.published_prefixes),
    Published(rdi.RDINet, rdi.published_prefixes, ("conv2.weight",)),
    Published(bag_of_features.BoFNet, bag_of_features.published_prefixes),
)


def load_published(model: StagedClassifier, state_dict: Mapping[str, Tensor]) -> PublishedReport:
    """Read a state dict of a family's published code into a network.

    Args:
        model: A network of a family that has published weights.
        state_dict: Tensors by the published code's names.

    Returns:
        What was read and what was left out.

    Raises:
        ModelError: A tensor is missing, unknown or of another shape; all are named, and the model
            is left as it was. Or the family has no published weights.
    """
    load = getattr(model, "load_published", None)
    if load is not None:  # a family whose published tensors do not correspond one to one
        result: PublishedReport = load(state_dict)
        return result
    family = next((f for f in FAMILIES if isinstance(model, f.network)), None)
    if family is None:
        raise ModelError(
            f"no published names are known for {type(model).__name__}: load its own weights."
        )
    names = published_names(model, family.prefixes(model))
    current, new, problems = model.state_dict(), {}, []
    for name, key in names.items():
        if key not in state_dict:
            if not name.endswith("num_batches_tracked"):  # Chainer and old PyTorch have none
                problems.append(f"{key}: missing in the state dict")
        elif current[name].shape != state_dict[key].shape:
            shapes = tuple(state_dict[key].shape), tuple(current[name].shape)
            problems.append(f"{key}: shape {shapes[0]}, this network has {shapes[1]}")
        else:
            new[name] = torch.as_tensor(state_dict[key])
    rest = [key for key in state_dict if key not in set(names.values())]
    problems += [
        f"{key}: no such layer in this network" for key in rest if key not in family.unused
    ]
    if problems:
        shown = "\n  ".join(problems[:SHOWN])
        more = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ModelError(
            "these weights are not of this network (compare its name and number of classes):"
            f"\n  {shown}{more}"
        )
    model.load_state_dict(current | new)
    return PublishedReport(len(new), tuple(rest), ())


def published_names(model: StagedClassifier, prefixes: Mapping[str, str]) -> dict[str, str]:
    """Return the published name of every tensor of a network.

    Args:
        model: The network.
        prefixes: Published prefix of each module with weights, or of one around it.
    """
    names = {}
    for name in model.state_dict():
        prefix = name
        while prefix not in prefixes:
            prefix = prefix.rpartition(".")[0]
        names[name] = prefixes[prefix] + name[len(prefix) :]
    return names
