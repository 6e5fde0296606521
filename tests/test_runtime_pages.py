"""Times on a CPU: the pages hold what their results say."""

import importlib
from pathlib import Path

import pytest

from endoexit.files import read_json

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_the_page_of_times_is_that_of_its_results(load):
    made = load("runtime_pages")
    results = read_json(load("tables").RESULTS / "cpu_runtime.json")
    assert made.PAGE.read_text(encoding="utf-8") == made.page(results)


def test_the_readme_has_four_targets_one_of_them_missed(load):
    made = load("runtime_pages")
    block = made.readme_block(read_json(load("tables").RESULTS / "cpu_runtime.json"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- runtime:begin -->\n\n{block}\n\n<!-- runtime:end -->" in readme
    rows = block.splitlines()[2:6]
    assert [row.endswith("| missed |") for row in rows].count(True) == 1
    assert block.splitlines()[6] == ""
