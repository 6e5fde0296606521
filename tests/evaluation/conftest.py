import json
from pathlib import Path

import pytest

from endoexit.artifacts.run import Run
from endoexit.evaluation.document import Evaluation
from evaluation_runs import copy_run

REAL = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "reading_evaluation.json"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A copy of the tiny run: tests may change it."""
    return copy_run(tiny_run, tmp_path / "run")


@pytest.fixture(scope="module")
def real() -> Evaluation:
    """The evaluation of a real run, with times and a twin."""
    return Evaluation.model_validate(json.loads(REAL.read_text(encoding="utf-8"))["evaluation"])
