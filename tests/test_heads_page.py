"""The table that `benchmarks/heads.py` makes of its results."""

import importlib
from pathlib import Path

import pytest

from endoexit.files import read_json
from endoexit.models.exit_heads import HEADS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("heads")


def row(head, seed, accuracy, known):
    return {"head": head, "seed": seed, "accuracy": accuracy, "accuracy_known": known,
            "parameters": 1.5e6, "macs": [1e7, 2e7, 3e7, 4e7]}  # fmt: skip


def test_the_best_head_on_known_images_is_first_with_the_spread_of_its_seeds(script):
    rows = [row("conv", 0, [0.9, 0.9, 0.9, 0.9], [0.7, 0.7, 0.9, 0.9]),
            row("sdn", 0, [0.8, 0.8, 0.9, 0.9], [0.8, 0.8, 0.9, 0.9]),
            row("sdn", 1, [0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9])]  # fmt: skip
    lines = [line for line in script.table({"rows": rows}).splitlines() if line.startswith("| `")]
    first, second = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert first == [
        "`sdn`", "87.5 (85.0–90.0)", "85.0 (80.0–90.0)", "85.0 (80.0–90.0)", "90.0 (90.0–90.0)",
        "90.0 (90.0–90.0)", "0.010 / 0.020 / 0.030 / 0.040", "1.50", "2",
    ]  # fmt: skip
    assert second[:6] == ["`conv`", "80.0", "90.0", "90.0", "90.0", "90.0"]


def test_the_page_explains_every_head_that_is_measured(script):
    page = script.PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}`" in page for name in HEADS)


def test_the_table_is_that_of_its_results(script):
    page = script.PAGE.read_text(encoding="utf-8")
    assert f"<!-- heads:begin -->\n\n{script.table(read_json(script.RESULT))}\n" in page
