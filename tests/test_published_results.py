"""Results that are published hold no folder of the machine that made them."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_absolute_paths_lose_their_folders_and_nothing_else_changes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    without_places = importlib.import_module("tables").without_places
    assert without_places(
        "endoexit train /home/someone/a.csv --out=/tmp/b --set 'strategy={teacher: \"/x/y/t\"}' "
        "--set image.size=96 runs/c 1/2"
    ) == (
        "endoexit train a.csv --out=b --set 'strategy={teacher: \"t\"}' --set image.size=96 "
        "runs/c 1/2"
    )


def test_no_committed_result_names_a_folder_of_a_machine():
    for file in (ROOT / "benchmarks" / "results").rglob("*.json"):
        folder = re.search(r"(?<![^\s'\"=])/(home|root|work|tmp|Users)/", file.read_text())
        assert folder is None, f"{file.name}: {folder}"
