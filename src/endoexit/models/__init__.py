"""Staged early-exit networks: one interface, a catalog of names, published weights."""

from endoexit.models.catalog import create_model, list_models, model_config, single_exit_twin
from endoexit.models.cut import with_exits
from endoexit.models.hifuse.network import HiFuse, HiFuseConfig
from endoexit.models.hifuse.published import PublishedReport, load_published_hifuse
from endoexit.models.published import load_published
from endoexit.models.staged import Stage, StagedClassifier, State

__all__ = [
    "HiFuse",
    "HiFuseConfig",
    "PublishedReport",
    "Stage",
    "StagedClassifier",
    "State",
    "create_model",
    "list_models",
    "load_published",
    "load_published_hifuse",
    "model_config",
    "single_exit_twin",
    "with_exits",
]
