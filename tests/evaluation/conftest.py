from pathlib import Path

import pytest

from endoexit.artifacts.run import Run
from evaluation_runs import copy_run


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A copy of the tiny run: tests may change it."""
    return copy_run(tiny_run, tmp_path / "run")
