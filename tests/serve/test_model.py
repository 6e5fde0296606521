"""The model that answers: opened, asked, described."""

import numpy as np
import pytest
from servers import CALIBRATED, make_run

from endoexit.errors import PolicyError
from endoexit.policy import threshold_policy
from endoexit.serve.model import open_model
from endoexit.serve.settings import Settings
from tiny import CLASSES, tiny_run

SETTINGS = Settings(threads=1, batch_size=2)


def opened(path, settings=SETTINGS):
    return open_model(path, settings, lambda *_: None)


def test_a_model_is_described(served_run):
    model = opened(served_run)
    described = model.describe()
    assert described["classes"] == CLASSES
    assert model.policy.calibrated == CALIBRATED
    assert len(described["weights"]) == len(described["policy"]) == 64
    assert described["precision"] == "torch-f32"
    assert model.scheduler.images_per_second < float("inf")
    assert len(model.scheduler) == 0


def test_another_policy_is_another_model(tmp_path):
    first, second = opened(make_run(tmp_path / "a", 0.6)), opened(make_run(tmp_path / "b", 0.7))
    assert first.identity["weights"] == second.identity["weights"]
    assert first.identity["policy"] != second.identity["policy"]


def test_the_deadline_of_a_policy_is_kept_image_by_image(tmp_path):
    run = tiny_run(tmp_path / "run").path
    threshold_policy(4, 0.6).replaced(deadline_ms=50).write(run / "policy.json")
    model = opened(run)
    assert model.deadline_ms == 50
    assert model.engine.deadline_ms is None


def test_a_threshold_serves_a_run_without_a_policy(tmp_path):
    run = tiny_run(tmp_path / "run").path
    with pytest.raises(PolicyError, match="endoexit calibrate"):
        opened(run)
    model = opened(run, SETTINGS.replaced(threshold=0.9))
    assert model.policy.calibrated is None


def test_a_model_without_finite_answers_is_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    run = make_run(tmp_path / "run")
    weights = load_file(run / "weights.safetensors")
    broken = {
        name: np.full_like(array, np.nan) if array.dtype == np.float32 else array
        for name, array in weights.items()
    }
    save_file(broken, run / "weights.safetensors")
    with pytest.raises(PolicyError):
        opened(run)
