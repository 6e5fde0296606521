from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from endoexit.policy.logits import LogitSet

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="session", params=["colonoscopy", "otoscopy"])
def golden(request) -> Callable[[str], LogitSet]:
    """Real logits of four exits: `golden("val")`, "cal" or "test" of each dataset."""
    with np.load(GOLDEN / f"{request.param}_logits.npz", allow_pickle=False) as arrays:
        sets = {
            role: LogitSet(role, arrays[f"{role}_logits"], arrays[f"{role}_labels"])
            for role in ("val", "cal", "test")
        }
    return sets.__getitem__


@pytest.fixture
def make_data() -> Callable[..., LogitSet]:
    """Random logits that know something about the labels, more with every exit."""

    def make(exits=3, *, images=60, classes=3, seed=0, name="calibrate", groups=None):
        generator = np.random.default_rng(seed)
        labels = generator.integers(classes, size=images)
        logits = generator.normal(size=(exits, images, classes))
        strength = generator.uniform(0, 4, size=images) * np.linspace(0.5, 1.2, exits)[:, None]
        logits[:, np.arange(images), labels] += strength
        return LogitSet(name, logits.astype(np.float32), labels, groups)

    return make
