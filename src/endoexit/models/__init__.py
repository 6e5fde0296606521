"""Staged early-exit networks: one interface, a catalog of names, what they hand on and cost.

Names are imported when they are first used: what only reads documents starts without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from endoexit.models.catalog import create_model, list_models, model_config, single_exit_twin
    from endoexit.models.cut import with_exits
    from endoexit.models.published import load_published
    from endoexit.models.spec import NetworkSpec
    from endoexit.models.staged import Stage, StagedClassifier, State
    from endoexit.models.weights import PublishedReport

__all__ = [
    "NetworkSpec",
    "PublishedReport",
    "Stage",
    "StagedClassifier",
    "State",
    "create_model",
    "list_models",
    "load_published",
    "model_config",
    "single_exit_twin",
    "with_exits",
]

_MODULES = {
    "NetworkSpec": "spec",
    "PublishedReport": "weights",
    "Stage": "staged",
    "StagedClassifier": "staged",
    "State": "staged",
    "create_model": "catalog",
    "list_models": "catalog",
    "load_published": "published",
    "model_config": "catalog",
    "single_exit_twin": "catalog",
    "with_exits": "cut",
}


def __getattr__(name: str) -> Any:
    """Return a public name of the room."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
