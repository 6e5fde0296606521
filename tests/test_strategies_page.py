"""The tables that `benchmarks/strategies.py` makes of its results."""

import importlib
from pathlib import Path

import pytest
import yaml

from endoexit.training.recipe import read_recipe
from endoexit.training.strategies.catalog import STRATEGIES

NEEDED = {"max_probability": 80, "linear_gate": 100, "jei_dnn": 150, "eenet": None}
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("strategies")


def row(strategy, seed, accuracy):
    policies = [
        {"drop": 0.005, "cost": 0.5, "gap": 0.0, "least": 0.45},
        {"drop": 0.01, "cost": 0.4, "gap": -0.01, "least": 0.35},
    ]
    rules = {
        kind: {"cost": 0.4 + place / 100, "gap": (seed - place) / 100, "certify_images": images}
        for place, (kind, images) in enumerate(NEEDED.items())
    }
    return {"network": "nano", "strategy": strategy, "seed": seed, "accuracy": accuracy,
            "macs": 5.12e7, "policies": policies, "rules": rules,
            "teacher": 0.95 if "distil" in strategy else None}  # fmt: skip


def test_it_trains_every_strategy_by_settings_that_a_recipe_takes(script):
    names = {yaml.safe_load(settings.replace("%s", "x"))["name"]
             for settings in script.STRATEGIES.values()}  # fmt: skip
    assert names == set(STRATEGIES)
    for settings in script.STRATEGIES.values():
        read_recipe("fine-tune", [f"strategy={settings.replace('%s', 'runs/teacher')}"])


def test_a_table_has_means_spreads_and_the_time_beside_the_joint_sum(script):
    rows = [
        row("joint", 0, [0.5, 0.8]), row("joint", 1, [0.6, 0.8]),
        row("eenet", 0, [0.6, 0.9]), row("eenet", 1, [0.61, 0.8]),
        row("sdn", 0, [0.4, 0.9]), row("sdn", 1, [0.5, 0.8]),
    ]  # fmt: skip
    times = {
        "joint": {"median": 1.0, "smallest": 1.0, "largest": 1.0},
        "eenet": {"median": 2.0, "smallest": 1.9, "largest": 2.2},
    }
    text = script.tables({"rows": rows}, {"nano": {"ratios": times}})
    assert "One image takes 51 million multiply-adds through all exits." in text
    assert "better than the joint sum with every seed: `eenet` (+5.3 points); worse" in text
    assert "worse with every seed: none. A" in text, "one of the two seeds is as good"
    assert "costs less than that of the joint sum with every seed: none; more" in text
    assert text.count("| 1.00 |") == 1, "the range of a ratio that does not vary is left out"
    line = next(line for line in text.splitlines() if line.startswith("| `eenet`"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == [
        "60.5 (60.0–61.0)", "85.0 (80.0–90.0)", "+5.3 ± 4.7", "50.0 (50.0–50.0)", "45.0", "+0.0",
        "40.0 (40.0–40.0)", "35.0", "-1.0", "2.00 (1.90–2.20)",
    ]  # fmt: skip


def test_it_says_whose_policies_cost_less(script):
    names = ("joint", "sdn", "eenet", "linear")
    rows = [row(name, seed, [0.5, 0.8]) for name in names for seed in (0, 1)]
    for each in rows:
        shift = {"eenet": 0.1, "sdn": -0.2, "linear": 0.1 - each["seed"] / 5}
        each["policies"][0]["cost"] += shift.get(each["strategy"], 0)
    text = script.tables({"rows": rows}, {})
    assert "with every seed: `sdn` (-20.0 points); more with every seed: `eenet` (+10.0" in text


def test_gates_are_compared_with_thresholds_on_the_same_runs(script):
    text = script.tables({"rows": [row("joint", seed, [0.5, 0.8]) for seed in (0, 1)]}, {})
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[-4:]]
    assert lines == [
        ["`max_probability`", "40.0", "+0.5", "80"],
        ["`linear_gate`", "41.0 (+1.0 ± 0.0)", "-0.5 (-1.0 ± 0.0)", "100"],
        ["`jei_dnn`", "42.0 (+2.0 ± 0.0)", "-1.5 (-2.0 ± 0.0)", "150"],
        ["`eenet`", "43.0 (+3.0 ± 0.0)", "-2.5 (-3.0 ± 0.0)", "more than 1600"],
    ]
    assert "by more than twice the standard error: none." in text
    rows = [row("joint", seed, [0.5, 0.8]) for seed in (0, 1, 2)]
    for seed, each in enumerate(rows):
        each["rules"]["jei_dnn"]["cost"] = 0.3 + seed / 100
        each["rules"]["linear_gate"]["cost"] = 0.3 + seed / 10
    assert "standard error: `jei_dnn` (-9.0 points)." in script.tables({"rows": rows}, {})


def test_results_of_earlier_calls_are_kept_and_replaced_run_by_run(script):
    rows = []
    for strategy, seed, accuracy in (("eenet", 1, [0.1]), ("joint", 0, [0.2]), ("eenet", 1, [0.3]),
                                     ("eenet", 0, [0.4])):  # fmt: skip
        rows = script.with_row(rows, row(strategy, seed, accuracy))
    assert [(each["strategy"], each["seed"], each["accuracy"]) for each in rows] == [
        ("joint", 0, [0.2]), ("eenet", 0, [0.4]), ("eenet", 1, [0.3]),
    ]  # fmt: skip


def test_strategies_that_are_not_trained_are_named(script):
    rows = [row(name, 0, [0.5, 0.8]) for name in script.STRATEGIES if name not in ("sdn", "eenet")]
    assert "Not trained yet: `sdn`, `eenet`." in script.tables({"rows": rows}, {})
    rows += [row(name, 0, [0.5, 0.8]) for name in ("sdn", "eenet")]
    assert "Not trained" not in script.tables({"rows": rows}, {})


def test_strategies_with_fewer_seeds_are_named(script):
    rows = [row("joint", seed, [0.5, 0.8]) for seed in (0, 1, 2)]
    rows += [row("sdn", seed, [0.5, 0.8]) for seed in (0, 2)]
    text = script.tables({"rows": rows}, {})
    assert "seeds: 3." in text
    assert "Seeds of those that have fewer: `sdn` 2." in text
    rows[-1]["accuracy"] = rows[-2]["accuracy"] = [0.6, 0.9]
    text = script.tables({"rows": rows}, {})
    assert "better than the joint sum with every seed: none" in text, "two seeds are not all"
    rows.append(row("sdn", 1, [0.5, 0.8]))
    assert "fewer" not in script.tables({"rows": rows}, {})


def test_times_are_ratios_of_the_same_round_and_of_both_halves(script, tmp_path):
    times = importlib.import_module("strategy_times")
    metrics = tmp_path / "metrics.csv"
    lines = ["epoch,seconds,cpu_seconds", "1,9,50", "2,9,3.5", "3,9,70", "4,9,4"]
    metrics.write_text("\n".join(lines), encoding="utf-8")
    assert times.seconds_of(metrics) == 7.5
    rounds = [{"joint": 1.0, "sdn": 1.5}, {"joint": 2.0, "sdn": 2.0}, {"joint": 4.0, "sdn": 5.0}]
    assert times.ratios(rounds)["sdn"] == {"median": 1.25, "smallest": 1.0, "largest": 1.5}


def test_a_network_that_only_some_strategies_train_misses_no_others(script):
    rows = [{**row("joint", 0, [0.5, 0.8]), "network": "lite0-96"}]
    assert "Not trained yet: `self-distil`, `distil`." in script.tables({"rows": rows}, {})


def test_it_says_how_good_the_teachers_are(script):
    rows = [row("joint", 0, [0.5, 0.8]), row("distil", 0, [0.5, 0.8]), row("distil", 1, [0.5, 0.8])]
    rows[-1]["teacher"] = 0.97
    text = script.tables({"rows": rows}, {})
    assert "The teachers of `distil` reach 96.0 (95.0–97.0)." in text
    assert "teachers" not in script.tables({"rows": rows[:1]}, {})


def test_without_the_joint_sum_nothing_is_compared(script):
    text = script.tables({"rows": [row("eenet", 0, [0.6, 0.9])]}, {})
    assert "The joint sum was not trained, so nothing is compared." in text
    assert (
        "| `eenet` | 60.0 | 90.0 | – | 50.0 | 45.0 | +0.0 | 40.0 | 35.0 | -1.0 | – |"
        in " ".join(text.split())
    )
