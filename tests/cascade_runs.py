"""Runs with random weights that can be members of a cascade, made without training."""

from pathlib import Path
from typing import Any

import torch

from endoexit.artifacts.run import Run, RunConfig, write_run
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import copy_manifest, read_manifest
from endoexit.images.preprocessing import Preprocessing
from endoexit.models.spec import NetworkSpec

CLASSES = ("blue", "green", "red")
NETWORK: dict[str, Any] = {"width": 16, "heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1]}
SMALL = Preprocessing(size=32, mean=(0.4, 0.5, 0.6), resize="shorter-side", crop_ratio=0.8)
LARGE = Preprocessing(size=64, std=(0.2, 0.3, 0.4), interpolation="bicubic")


def member_run(
    path: Path,
    manifest: Path | None,
    preprocessing: Preprocessing = SMALL,
    seed: int = 0,
    exits: tuple[int, ...] = (1,),
    **changes: Any,
) -> Run:
    """Write a run whose random exits answer differently from image to image.

    Args:
        path: Folder of the run.
        manifest: Manifest that it keeps; None for none.
        preprocessing: Preprocessing of its images.
        seed: Random seed of its weights.
        exits: Early exits.
        changes: Changes of its config.
    """
    settings = NETWORK | {"exits": list(exits)}
    config = RunConfig(
        model="ee_hifuse_nano",
        overrides=settings,
        classes=CLASSES,
        preprocessing=preprocessing,
        seed=seed,
    )
    torch.manual_seed(seed)
    model = NetworkSpec(config.model, len(CLASSES), preprocessing.size, settings).build()
    with torch.no_grad():
        for stage in model.stages:
            stage.head.classify.weight.mul_(30)
    path.mkdir()
    if manifest is not None:
        copied = copy_manifest(read_manifest(manifest), path / MANIFEST)
        config = config.replaced(manifest_sha256=copied.sha256)
    return write_run(path, config.replaced(**changes), model)
