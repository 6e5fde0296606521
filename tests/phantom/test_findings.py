"""Every class is painted within bounds, and hard findings are less plain."""

import numpy as np
import pytest

from endoexit.phantom.findings import PAINTERS
from endoexit.phantom.surface import Surface


def surface(difficulty: float, seed: int = 0) -> Surface:
    return Surface(92, difficulty, np.random.default_rng(seed))


@pytest.mark.parametrize("label", PAINTERS)
@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_every_painter_stays_within_colours_and_light(label: str, difficulty: float) -> None:
    canvas = surface(difficulty)
    PAINTERS[label](canvas)
    assert canvas.albedo.dtype == canvas.height.dtype == canvas.light.dtype == np.float32
    assert np.isfinite(canvas.height).all()
    assert canvas.albedo.min() > -0.1
    assert canvas.albedo.max() < 1.6
    assert canvas.light.min() > -1e-6
    assert canvas.light.max() < 2.5


@pytest.mark.parametrize(
    "label", ["dyed-lifted-polyps", "dyed-resection-margins", "esophagitis", "polyps"]
)
def test_hard_findings_have_less_relief_or_contrast(label: str) -> None:
    def spread(difficulty: float) -> float:
        total = 0.0
        for seed in range(6):
            canvas = surface(difficulty, seed)
            PAINTERS[label](canvas)
            total += float(canvas.height.std() + canvas.albedo.std())
        return total

    assert spread(1.0) < spread(0.0)
