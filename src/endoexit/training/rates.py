"""How fast each parameter learns: trunk and exits apart, slower towards the input."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from endoexit.models import StagedClassifier
from endoexit.models.collaboration import CollaboratingHead
from endoexit.models.cut import FinalHead
from endoexit.training.recipe import OptimizerSettings


def trunk_layers(model: StagedClassifier) -> list[nn.Module]:
    """Return the layers with direct parameters that belong to no exit, from the input on.

    What a network that was cut computes behind its last map, its last layer apart, is not new
    either and belongs to the trunk.
    """
    layers: list[nn.Module] = []
    for stage in model.stages:
        layers += _with_parameters(stage.trunk)  # type: ignore[arg-type]
        head = stage.head
        if isinstance(head, FinalHead):
            new = set(head.classifier.modules())
            layers += [layer for layer in _with_parameters(head) if layer not in new]
        elif isinstance(head, CollaboratingHead) and isinstance(head.body, FinalHead):
            layers += _with_parameters(head.body)  # its last layer is not in there any more
    return layers


def _with_parameters(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if layer._parameters]


def frozen_norms(model: StagedClassifier) -> list[nn.Module]:
    """Return the trunk's batch normalisations."""
    return [layer for layer in trunk_layers(model) if isinstance(layer, _BatchNorm)]


def parameter_groups(
    model: StagedClassifier, settings: OptimizerSettings, helpers: Iterable[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Return the optimiser's groups of parameters, the exits' first.

    Matrices and kernels are decayed, vectors and numbers are not. A layer without either, such as
    a normalisation, has the rate of the layer before it.

    Args:
        model: The network.
        settings: Rates and decay.
        helpers: Parameters of the strategy that are no part of the network; they learn as exits do.
    """
    trunk = trunk_layers(model)
    depth = sum(_has_weights(layer) for layer in trunk)
    rates: dict[int, float] = {}
    number = 0
    for layer in trunk:
        number += _has_weights(layer)
        rate = (settings.trunk_lr or settings.lr) * settings.layer_decay ** (depth - number)
        for parameter in layer.parameters(recurse=False):
            rates.setdefault(id(parameter), rate)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    parameters = [p for p in (*model.parameters(), *helpers) if p.requires_grad]
    for parameter in sorted(parameters, key=lambda p: id(p) in rates):  # stable: the exits first
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        rate = rates.get(id(parameter), settings.lr)
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": members, "lr": rate, "weight_decay": decay}
        for (rate, decay), members in groups.items()
    ]


def _has_weights(layer: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in layer.parameters(recurse=False))
