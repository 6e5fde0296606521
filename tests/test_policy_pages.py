"""The published figures of the policies: pages hold what their results say, and it holds."""

import importlib
from pathlib import Path

import pytest

from endoexit.files import read_json

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_the_guarantee_holds_and_is_not_idle(load):
    benchmark = load("guarantee_simulation")
    rows = read_json(benchmark.RESULT)["rows"]
    assert benchmark.failures(rows) == []
    assert len(rows) == 3 * 3 * 2  # sizes, losses, deltas
    assert {row["repetitions"] for row in rows} == {2000}
    assert benchmark.table(rows) in benchmark.PAGE.read_text(encoding="utf-8")


def test_a_broken_promise_and_an_idle_guarantee_are_found(load):
    benchmark = load("guarantee_simulation")
    rows = read_json(benchmark.RESULT)["rows"]
    rows[0]["violations"] = rows[0]["allowed"] + 0.01
    rows[-1]["saving"] = 0.7 * rows[-1]["best_saving"]
    broken, idle = benchmark.failures(rows)
    assert broken == "disagreement, 100 images, δ = 0.05: the promise is broken too often"
    assert idle == "missed[finding], 2000 images, δ = 0.1: the guarantee is idle"


def test_the_page_of_the_golden_policies_is_that_of_its_results(load):
    benchmark = load("golden_policies")
    page = benchmark.PAGE.read_text(encoding="utf-8")
    for result in read_json(benchmark.RESULT)["datasets"].values():
        assert benchmark.plain_table(result) in page
        assert benchmark.guarantee_table(result) in page


def test_tables_are_replaced_between_their_markers_only(load, tmp_path):
    tables = load("tables")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        tables.replace_between(page, "a", tables.markdown_table(("x", "y"), [("1", "2")]))
    table = "| x | y |\n| --- | ---: |\n| 1 | 2 |"
    expected = f"before\n<!-- a:begin -->\n\n{table}\n\n<!-- a:end -->\nafter\n"
    assert page.read_text(encoding="utf-8") == expected
    with pytest.raises(ValueError, match="needs the markers"):
        tables.replace_between(page, "b", "")
