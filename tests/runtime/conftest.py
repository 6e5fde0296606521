from pathlib import Path

import numpy as np
import pytest

from endoexit.artifacts.run import Run
from endoexit.models import StagedClassifier
from tiny import save_photos, tiny_model, tiny_photos, tiny_run


@pytest.fixture(scope="session")
def model() -> StagedClassifier:
    return tiny_model()


@pytest.fixture(scope="session")
def photos() -> np.ndarray:
    return tiny_photos()


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory) -> Path:
    return save_photos(tmp_path_factory.mktemp("photos"))
