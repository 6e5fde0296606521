"""The service does what its description says: a short run of the command that asks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "service"


@pytest.mark.slow
def test_all_checks_of_schemathesis(served_run):
    line = [sys.executable, str(FOLDER / "contract.py"), str(served_run), "--examples", "3"]
    done = subprocess.run(
        line, check=False, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 selected / 7 total" in done.stdout
