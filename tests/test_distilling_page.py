"""The table that `benchmarks/distilling.py` makes of its results."""

import importlib
from pathlib import Path

import pytest

from endoexit.files import read_json
from endoexit.training.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("distilling")


def row(setting, seed, known):
    return {"setting": setting, "seed": seed, "accuracy_known": known}


def test_a_setting_is_compared_with_the_untaught_network_of_the_same_seed(script):
    rows = [row("hints", 1, [0.82, 0.94]), row("joint", 0, [0.70, 0.90]),
            row("joint", 1, [0.80, 0.90])]  # fmt: skip
    lines = [line for line in script.table(rows).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["setting", "exit 1", "final exit", "mean", "seeds"]
    assert cells[2] == ["joint", "75.0 (70.0–80.0)", "90.0 (90.0–90.0)", "82.5 (80.0–85.0)", "2"]
    assert cells[3] == ["hints", "82.0, +2.0", "94.0, +4.0", "88.0", "1"]


def test_every_setting_is_one_that_a_recipe_takes(script):
    settings = {}
    for name, (strategy, options) in script.SETTINGS.items():
        asked = strategy % "runs/teacher" if "%s" in strategy else strategy
        changes = [word for word in options if word != "--set"]
        recipe = read_recipe("fine-tune", [*changes, f"strategy={asked}"])
        settings[name] = (recipe.strategy, recipe.epochs)
    assert len(set(settings.values())) == len(script.SETTINGS)  # no two are the same


def test_the_table_is_that_of_its_results(script):
    page = script.PAGE.read_text(encoding="utf-8")
    table = script.table(read_json(script.RESULT)["rows"])
    assert f"<!-- distilling:begin -->\n\n{table}\n" in page
