"""The table of targets from the file to the answer: verdicts, and what has no result."""

import importlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from table_backend import PREPROCESSING, TableBackend, numbered, same

from endoexit.files import read_json
from endoexit.policy import threshold_policy
from endoexit.progress import silent
from endoexit.runtime.engine import Engine

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.mark.parametrize(
    ("quartiles", "at_least", "verdict"),
    [
        ((0.8, 0.9, 1.0), False, "met"),
        ((0.9, 1.0, 1.1), False, "unclear"),
        ((1.1, 1.2, 1.3), False, "missed"),
        ((1.0, 1.1, 1.2), True, "met"),
        ((0.9, 1.1, 1.2), True, "unclear"),
        ((0.7, 0.8, 0.9), True, "missed"),
    ],
)
def test_a_target_is_met_where_all_quartiles_keep_it(load, quartiles, at_least, verdict):
    part = {"machine": {"processor": "a processor", "cores": 2}}
    measured = dict(zip(("low", "median", "high"), quartiles, strict=True))
    row = load("runtime_targets").Row("what", 1.0, "nothing", part, measured, at_least)
    bound = "≥ 1.00" if at_least else "≤ 1.00"
    assert (row.cells[1], row.cells[3], row.cells[5]) == (bound, verdict, "a processor, 2 cores")
    assert float(row.cells[2].split()[0]) == measured["median"]


def test_what_has_no_result_says_so(load):
    made = load("runtime_targets")
    *_, table = made.way_targets({})
    rows = [row for row in table.splitlines()[2:] if "points lost" not in row]
    assert len(rows) == 22
    assert all("| not measured | – |" in row for row in rows)


def test_the_rows_hold_the_committed_results(load):
    made, results = load("runtime_targets"), read_json(load("tables").RESULTS / "cpu_runtime.json")
    *_, table = made.way_targets(results)
    start = results["start"]["targets"][0]
    (row,) = [row for row in table.splitlines() if "start to end" in row]
    assert f"{start['median']:.3f}" in row


def test_bookkeeping_by_itself_runs_no_stage_and_answers_as_before(load):
    made = load("runtime_bookkeeping")
    backend = TableBackend(np.random.default_rng(0).normal(size=(3, 4, 5)))
    engine = Engine(backend, threshold_policy(3, 1.0 - 1e-9), PREPROCESSING)
    images = numbered([2])
    expected = engine.predict(images)
    recorded = made.Recorded(backend, PREPROCESSING.normalise(images))
    before = len(backend.calls)
    same(Engine(recorded, engine.policy, PREPROCESSING).predict(images), expected)
    assert made.by_itself(engine, images, silent).median > 0
    stages = len(backend.calls) - before
    assert stages == 3, "once, to record"


def test_limits_of_a_policy_follow_from_the_passes_to_each_exit(load):
    made = load("runtime_answers")
    exits = Counter({1: 3, 3: 1})
    times = {"policy": [9.0], "whole": [8.0], "exit 1": [2.0], "exit 2": [3.0], "exit 3": [4.0]}
    assert made._least(times, exits) == {"all at exit 1": 0.25, "these exits": 2.5 / 8}
    streams = {"exit 1": [2.0], "exit 2": [3.0], made.FINAL: [6.0], made.POLICY: [9.0]}
    assert made._gains(streams, exits) == {"all at exit 1": 3.0, "these exits": 2.0}
