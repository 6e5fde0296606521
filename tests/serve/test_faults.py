"""What becomes of a service when something goes wrong: short runs of the command that tries it."""

import importlib
from pathlib import Path

import pytest

from tiny import save_photos

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "service"
OF_TIME = {"it is ready again in 5 s"}  # for an idle machine


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return importlib.import_module("faults")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["kill", "terminate", "reload", "disk", "hang-up", "decoder", "crowd"]
)
def test_a_fault(faults, served_run, tmp_path, name):
    save_photos(tmp_path, 6)
    files = sorted(tmp_path.glob("*.png"))
    outcome = faults.try_out(name, served_run, files, connections=8, seconds=1, times=1)
    assert set(outcome["wrong"]) <= OF_TIME, outcome
    assert len(outcome["checks"]) > 2
