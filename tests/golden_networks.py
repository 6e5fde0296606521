"""Golden weights and answers of the published networks, shared by their tests."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from endoexit.models.staged import StagedClassifier

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = GOLDEN / "networks"

_spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
assert _spec is not None
assert _spec.loader is not None
fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fill)


def keys(name: str) -> dict[str, Any]:
    return json.loads((NETWORKS / f"{name}.keys.json").read_text())


def weights(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.asarray(fill.fill(key, s))) for key, s in shapes.items()}


def answers(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(NETWORKS / f"{name}.npz"))


def counts(name: str) -> dict[str, Any]:
    return json.loads((NETWORKS / f"{name}_counts.json").read_text())


def cases(golden: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Return the name and the images of each case."""
    made = []
    for name in sorted({key.split("_exit")[0] for key in golden}):
        seed, batch, *side = map(int, re.findall(r"\d+", name))
        made.append((name, fill.image(seed, batch, side[0] if side else 32)))
    return made


def distance(model: StagedClassifier, images: np.ndarray, golden: dict, case: str) -> float:
    """Return the largest difference over all exits, relative to the largest logit of each."""
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(images.copy()))
    return max(
        float(np.abs(z.numpy() - golden[f"{case}_exit{k}"]).max())
        / float(np.abs(golden[f"{case}_exit{k}"]).max())
        for k, z in enumerate(logits, 1)
    )
