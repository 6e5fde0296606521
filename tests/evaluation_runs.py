"""Run folders that a test may change: copies of the tiny run, and twins made without training."""

import shutil
from pathlib import Path

import torch

from endoexit.artifacts.run import Run, open_run, write_run
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import sidecar_path
from endoexit.files import read_json, write_json
from endoexit.models import create_model


def copy_run(original: Path, target: Path) -> Run:
    """Copy a run with its manifest, which goes on naming the same images."""
    run = open_run(original)
    leave_out = shutil.ignore_patterns("checkpoints", "tensorboard", "logits", "evaluation*")
    shutil.copytree(original, target, ignore=leave_out)
    _name_root(target, run.manifest().root)
    return open_run(target)


def untrained_twin(run: Run, target: Path, **changes: object) -> Run:
    """Make a run of the same network without early exits; `changes` are of its config."""
    untrained = {"model": "hifuse_nano", "recipe": {}}  # with a recipe it would be unfinished
    config = run.config.model_copy(update=untrained | changes)
    torch.manual_seed(1)
    made = write_run(
        target, config, create_model("hifuse_nano", len(config.classes), **config.overrides)
    )
    shutil.copy(run.path / MANIFEST, target)
    shutil.copy(sidecar_path(run.path / MANIFEST), target)
    _name_root(target, run.manifest().root)
    return made


def _name_root(folder: Path, root: Path) -> None:
    sidecar = sidecar_path(folder / MANIFEST)
    write_json(sidecar, read_json(sidecar) | {"root": str(root)})
