"""A tiny staged network with random weights, images that it tells apart, and a run folder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from endoexit.artifacts.run import Run, RunConfig, write_run
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import StagedClassifier, create_model

SIDE = 32
CLASSES = ("esophagitis", "normal-cecum", "polyp")
PREPROCESSING = Preprocessing(size=SIDE)
# Few blocks: the writing of a graph takes a time for each. One stage still shifts its windows.
SETTINGS: dict[str, Any] = {
    "width": 16, "heads": [1, 1, 2, 2], "window": 4, "exit_reduction": 4, "depths": [2, 1, 1, 1],
}  # fmt: skip


def tiny_model(name: str = "ee_hifuse_nano", seed: int = 0) -> StagedClassifier:
    """Return a network whose random exits answer differently from image to image."""
    torch.manual_seed(seed)
    model = create_model(name, len(CLASSES), **SETTINGS).eval()
    with torch.no_grad():
        for stage in model.stages:
            stage.head.classify.weight.mul_(30)
    return model


def tiny_run(path: Path, name: str = "ee_hifuse_nano", seed: int = 0) -> Run:
    """Write a run folder without a policy and without a manifest."""
    config = RunConfig(model=name, overrides=SETTINGS, classes=CLASSES, preprocessing=PREPROCESSING)
    return write_run(path, config, tiny_model(name, seed))


def lenet_run(path: Path) -> Run:
    """Write a run folder of a B-LeNet with random weights: two exits, graphs of few nodes."""
    preprocessing = Preprocessing(size=28)
    torch.manual_seed(0)
    config = RunConfig(model="b_lenet", classes=CLASSES, preprocessing=preprocessing)
    return write_run(path, config, create_model(config.model, len(CLASSES)))


def tiny_photos(count: int = 24) -> np.ndarray:
    """Return images (count, S, S, 3), each of another colour and texture."""
    generator = np.random.default_rng(0)
    colour = generator.integers(0, 256, (count, 1, 1, 3))
    texture = generator.integers(-60, 60, (count, SIDE, SIDE, 3))
    strength = generator.random((count, 1, 1, 1))
    return np.clip(colour + texture * strength, 0, 255).astype(np.uint8)


def save_photos(folder: Path, count: int = 24) -> Path:
    """Write the images as `0.png`, `1.png`, … and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(tiny_photos(count)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder
