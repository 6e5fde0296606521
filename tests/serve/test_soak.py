"""The command that keeps a service under load: what it calls growth, and a short run of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiny import save_photos

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "service"
FLAT = {"memory_mb": 100.0, "descriptors": 20, "threads": 8, "processes": 2}


@pytest.fixture
def grown(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import soak

    return soak.grown


def test_a_start_is_no_growth(grown):
    assert grown([{**FLAT, "memory_mb": 10.0, "threads": 1}] * 10 + [FLAT] * 30) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory_mb", 111.0), ("descriptors", 37), ("threads", 9), ("processes", 3)],
)
def test_growth_is_found(grown, name, value):
    looks = [FLAT] * 30 + [{**FLAT, name: value}] * 10
    assert grown(looks) == {name: (FLAT[name], value)}


def run(served_run, folder, *options):
    """Run the command on a tiny service; return how it ended and its result."""
    images, out = save_photos(folder / "images", 4), folder / "soak.json"
    line = [sys.executable, str(FOLDER / "soak.py"), str(served_run), str(images), *options]
    done = subprocess.run(
        [*line, "--connections", "4", "--out", str(out)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return done, json.loads(out.read_text())


@pytest.mark.slow
def test_a_short_run(served_run, tmp_path):
    done, result = run(served_run, tmp_path, "--minutes", "0.1", "--rate", "10")
    assert len(result["looks"]) >= 3
    assert sum(result["statuses"].values()) > 20
    # Six seconds on a busy machine: growth of memory is for the long run.
    assert set(result["grown"]) <= {"memory_mb", "descriptors"}, done.stdout
    assert set(result["statuses"]) <= {"200", "429", "504"}


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_five_minutes(served_run, tmp_path):
    done, result = run(served_run, tmp_path, "--minutes", "5", "--rate", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert result["grown"] == {}
    assert result["statuses"]["200"] > 1000
