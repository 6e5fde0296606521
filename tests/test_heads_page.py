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


def row(head, seed, accuracy, known, exits="3,5,6"):
    return {"head": head, "exits": exits, "seed": seed,
            "accuracy": accuracy, "accuracy_known": known,
            "parameters": 1.5e6, "macs": [1e7, 2e7, 3e7, 4e7]}  # fmt: skip


def test_the_best_head_on_known_images_is_first_with_the_spread_of_its_seeds(script):
    rows = [row("conv", 0, [0.9, 0.9, 0.9, 0.9], [0.7, 0.7, 0.9, 0.9]),
            row("sdn", 0, [0.8, 0.8, 0.9, 0.9], [0.8, 0.8, 0.9, 0.9]),
            row("sdn", 1, [0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9])]  # fmt: skip
    lines = [line for line in script.table(rows).splitlines() if line.startswith("| `")]
    first, second = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert first == [
        "`sdn`", "87.5 (85.0–90.0)", "85.0 (80.0–90.0)", "85.0 (80.0–90.0)", "90.0 (90.0–90.0)",
        "90.0 (90.0–90.0)", "0.010 / 0.020 / 0.030 / 0.040", "1.50", "2",
    ]  # fmt: skip
    assert second[:6] == ["`conv`", "80.0", "90.0", "90.0", "90.0", "90.0"]


def test_places_are_compared_with_one_head_and_heads_at_one_place(script):
    rows = [row("rdi,conv,conv", 0, [0.9, 0.9, 0.9, 0.9], [0.9, 0.8, 0.9, 0.9]),
            row("rdi,conv,conv", 0, [0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9], "a,b,c"),
            row("conv", 0, [0.9, 0.9, 0.9, 0.9], [0.7, 0.7, 0.9, 0.9])]  # fmt: skip
    assert "`rdi,conv,conv` | 87.5 " in script.table(rows)
    places = [line for line in script.places_table(rows).splitlines() if line.startswith("| `")]
    assert [line.split(" | ")[:3] for line in places] == [
        ["| `a,b,c`", "90.0", "90.0"], ["| `3,5,6`", "87.5", "80.0"]
    ]  # fmt: skip
    assert "--exits a,b,c " in script.places_table(rows)


def test_the_page_explains_every_head_that_is_measured(script):
    page = script.PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}`" in page for name in HEADS)


def test_the_table_is_that_of_its_results(script):
    page = script.PAGE.read_text(encoding="utf-8")
    rows = read_json(script.RESULT)["rows"]
    assert f"<!-- heads:begin -->\n\n{script.table(rows)}\n" in page
    assert f"<!-- exits:begin -->\n\n{script.places_table(rows)}\n" in page
