"""Times on a CPU: the pages, the figure and the README's sentence hold what their results say."""

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
    assert [row.endswith("| no |") for row in rows].count(True) == 1
    assert block.splitlines()[6] == ""


def test_the_first_sentence_is_measured(load):
    made = load("accuracy_time_figure")
    runtime, _ = made.read_results()
    sentence = made.sentence(runtime)
    assert "from 6.5 ms to 3.1 ms" in sentence
    for page in made.PAGES:
        text = page.read_text(encoding="utf-8")
        assert f"<!-- why:begin -->\n\n{sentence}\n\n<!-- why:end -->" in text


def test_the_figure_has_every_exit_and_both_policies(load):
    made = load("accuracy_time_figure")
    runtime, study = made.read_results()
    points = made.points(runtime, study)
    assert len(points["exits"]) == 4
    picture = made.figure(runtime, study)
    assert picture.svg.startswith(b"<?xml")
    for places in points.values():
        for ms, percent in places:
            assert f"{ms:.1f} ms, {percent:.1f} %" in picture.alt
