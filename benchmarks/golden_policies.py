"""Every goal on real logits: found on val + cal, held against test.

    python benchmarks/golden_policies.py

reads tests/golden/{colonoscopy,otoscopy}_logits.npz (four exits of prototype networks) and the
groups next to them. Goals without a guarantee take val + cal whole. A guarantee takes halves of
val + cal, split by group: one calibrates, the other certifies; the table shows the split of seed
0 and, because one split is one draw, what 100 splits do on average. Under a minute. Writes
benchmarks/results/golden_policies.json and the tables of docs/golden-policies.md; `--table-only`
makes the tables again from the JSON.
"""

import argparse
import json
import re
import sys
from dataclasses import asdict

import numpy as np

from endoexit.errors import PolicyError
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.comparisons import oracle, random_assignment
from endoexit.policy.document import Costs, Promise
from endoexit.policy.goal_options import make_goal
from endoexit.policy.goals import Guarantee
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.risks import loss_table, parse_risk
from endoexit.policy.search import find_policy
from endoexit.policy.table import outcome
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "golden_policies.json"
PAGE = ROOT / "docs" / "golden-policies.md"
GOLDEN = ROOT / "tests" / "golden"
SPLITS = 100
TOLERANCES = (0.05, 0.1)
FINDINGS = {"colonoscopy": "polyp", "otoscopy": "Chronic otitis media"}

# What is asked without a guarantee: name, rule, goal.
PLAIN = (
    ("accuracy drop <= 0", RuleOptions(), {"max_accuracy_drop": 0.0}),
    ("accuracy drop <= 0.01", RuleOptions(), {"max_accuracy_drop": 0.01}),
    ("accuracy >= 0.8", RuleOptions(), {"min_accuracy": 0.8}),
    ("mean cost <= 0.4", RuleOptions(), {"mean_exit_cost": 0.4}),
    ("mean cost <= 0.6", RuleOptions(), {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, one shared threshold", RuleOptions(thresholds="shared"),
     {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, entropy", RuleOptions(rule="entropy"), {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, margin", RuleOptions(rule="margin"), {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, geometric shares", RuleOptions(thresholds="geometric"),
     {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, linear gate", RuleOptions(rule="linear_gate"), {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, JEI-DNN", RuleOptions(rule="jei_dnn"), {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.6, EENet", RuleOptions(rule="eenet"), {"mean_exit_cost": 0.6}),
    ("mean cost <= 0.8, patience", RuleOptions(rule="patience"), {"mean_exit_cost": 0.8}),
    ("mean cost <= 0.6, fixed exit", RuleOptions(rule="fixed"), {"mean_exit_cost": 0.6}),
)  # fmt: skip


class Dataset:
    """The golden logits of one dataset."""

    def __init__(self, name: str) -> None:
        described = json.loads((GOLDEN / f"{name}_groups.json").read_text(encoding="utf-8"))
        self.name, self.classes = name, tuple(described["classes"])
        groups = {role: np.array(ids) for role, ids in described["groups"].items()}
        with np.load(GOLDEN / f"{name}_logits.npz", allow_pickle=False) as arrays:
            sets = {
                role: LogitSet(role, arrays[f"{role}_logits"], arrays[f"{role}_labels"], ids)
                for role, ids in groups.items()
            }
            costs = tuple(float(cost) for cost in arrays["relative_cost"])
        self.test = sets["test"]
        self.fitting = LogitSet(
            "calibrate",
            np.concatenate([sets["val"].logits, sets["cal"].logits], axis=1),
            np.concatenate([sets["val"].labels, sets["cal"].labels]),
            np.concatenate([sets["val"].groups, sets["cal"].groups]),
        )
        self.costs = Costs(values=costs, unit="relative", source="multiply-adds of the prototype")

    def halves(self, seed: int) -> tuple[LogitSet, LogitSet]:
        """Return val + cal as a calibrate and a certify half; a group stays together."""
        groups = self.fitting.groups
        shuffled = np.random.default_rng(seed).permutation(np.unique(groups))
        sizes = np.array([(groups == group).sum() for group in shuffled])
        first = shuffled[np.cumsum(sizes) <= len(groups) / 2]
        inside = np.isin(groups, first)
        return self.part("calibrate", inside), self.part("certify", ~inside)

    def part(self, name: str, inside: np.ndarray) -> LogitSet:
        """Return some of the images of val + cal."""
        whole = self.fitting
        return LogitSet(name, whole.logits[:, inside], whole.labels[inside], whole.groups[inside])

    def on_test(self, policy: ExitPolicy) -> dict:
        """Return what the policy does on test: accuracy and risks, per image and per group."""
        test = self.test
        exits = policy.assign(test.logits)
        right = test.correct[exits - 1, np.arange(test.num_images)]
        risks = {}
        for name in risk_names(self.name):
            table = loss_table(parse_risk(f"{name}<=0.5"), test, self.classes)
            losses = table.of(exits)
            by_group = group_mean(losses, test.groups[table.counted])
            risks[name] = {"image": float(losses.mean()), "group": by_group}
        return asdict(outcome(test, exits, self.costs.values)) | {
            "accuracy_by_group": group_mean(right, test.groups),
            "random_assignment_accuracy": random_assignment(
                test, exits, self.costs.values
            ).accuracy,
            "risks": risks,
        }


def group_mean(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the mean over groups of the mean within each."""
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return float((np.bincount(place, weights=values) / sizes).mean())


def risk_names(dataset: str) -> tuple[str, ...]:
    return "disagreement", "accuracy_loss", f"missed[{FINDINGS[dataset]}]"


def guarantees(dataset: Dataset) -> list[Guarantee]:
    goals = []
    for tolerance in TOLERANCES:
        every = [f"{name}<={tolerance}" for name in risk_names(dataset.name)]
        for risks in (*([risk] for risk in every), every):
            goals += [make_goal(guarantee=risks, unit=unit) for unit in ("image", "group")]
    return goals


def plain_rows(dataset: Dataset) -> list[dict]:
    rows = []
    for name, options, wanted in PLAIN:
        result = find_policy(
            make_goal(**wanted),
            calibrate=dataset.fitting,
            costs=dataset.costs,
            classes=dataset.classes,
            options=options,
        )
        rows.append({
            "goal": name,
            "policy": result.policy.model_dump(mode="json", include={"rule"}),
            "on_val_and_cal": asdict(result.expected),
            "on_test": dataset.on_test(result.policy),
        })  # fmt: skip
    return rows


def guaranteed_row(dataset: Dataset, goal: Guarantee) -> dict:
    row: dict = {
        "goal": " and ".join(map(str, goal.risks)),
        "delta": goal.delta,
        "unit": goal.unit,
    }
    costs, broken = [], []
    for seed in range(SPLITS):
        calibrate, certify = dataset.halves(seed)
        try:
            result = find_policy(goal, calibrate=calibrate, certify=certify, costs=dataset.costs,
                                 classes=dataset.classes)  # fmt: skip
        except PolicyError as error:
            if seed == 0:
                row["refused"] = str(error)
            continue
        seen = dataset.on_test(result.policy)
        costs.append(seen["cost"])
        broken.append(
            any(seen["risks"][risk.label][goal.unit] > risk.tolerance for risk in goal.risks)
        )
        if seed == 0:
            row |= {
                "calibrate_images": calibrate.num_images,
                "certify_images": certify.num_images,
                "certify_groups": len(np.unique(certify.groups)),
                "policy": result.policy.model_dump(
                    mode="json", include={"rule", "promises", "note"}
                ),
                "on_test": seen,
            }
    row["splits"] = {
        "answered": len(costs),
        "mean_cost": float(np.mean(costs)) if costs else None,
        "over_tolerance_on_test": float(np.mean(broken)) if costs else None,
    }
    return row


def measure() -> dict:
    datasets = {}
    for name in FINDINGS:
        dataset = Dataset(name)
        datasets[name] = {
            "images": {"val+cal": dataset.fitting.num_images, "test": dataset.test.num_images},
            "exits": [
                {
                    "accuracy": float(right.mean()),
                    "accuracy_by_group": group_mean(right, dataset.test.groups),
                }
                for right in dataset.test.correct
            ],
            "relative_costs": list(dataset.costs.values),
            "oracle": asdict(oracle(dataset.test, dataset.costs.values)),
            "plain": plain_rows(dataset),
            "guarantees": [guaranteed_row(dataset, goal) for goal in guarantees(dataset)],
        }
    return {
        "command": "python benchmarks/golden_policies.py",
        "splits": SPLITS,
        "machine": describe_machine(),
        "versions": library_versions(),
        "datasets": datasets,
    }


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def against_final(seen: dict, result: dict) -> str:
    """Return the points of accuracy won or lost, per image and per group."""
    final = result["exits"][-1]
    keys = ("accuracy", "accuracy_by_group")
    return " / ".join(f"{100 * (seen[key] - final[key]):+.1f}" for key in keys)


def plain_table(result: dict) -> str:
    header = ("goal", "accuracy on val + cal", "cost there", "accuracy on test", "cost",
              "points against final exit, per image / per group",
              "accuracy of the same shares at random")  # fmt: skip
    best, final = result["oracle"], result["exits"][-1]
    rows = [
        ("final exit for all images", "", "", percent(final["accuracy"]), "100.0 %", "", ""),
        ("oracle (first exit that is right)", "", "", percent(best["accuracy"]),
         percent(best["cost"]), f"{100 * (best['accuracy'] - final['accuracy']):+.1f}", ""),
    ]  # fmt: skip
    for row in result["plain"]:
        there, seen = row["on_val_and_cal"], row["on_test"]
        rows.append((
            row["goal"], percent(there["accuracy"]), percent(there["cost"]),
            percent(seen["accuracy"]), percent(seen["cost"]), against_final(seen, result),
            percent(seen["random_assignment_accuracy"]),
        ))  # fmt: skip
    return markdown_table(header, rows)


def guarantee_table(result: dict) -> str:
    header = ("guarantee, δ = 0.05", "counted", "risk on certify", "risk on test", "cost on test",
              "points against final exit, per image / per group", "all splits: mean cost",
              "all splits: above ε on test")  # fmt: skip
    rows = []
    for row in result["guarantees"]:
        splits = row["splits"]
        mean = (percent(splits["mean_cost"]), percent(splits["over_tolerance_on_test"]))
        if "refused" in row:
            needed = re.search(r"certify has (\d+ \w+).*at least (\d+)", row["refused"])
            refusal = f"{needed[1]}: too few, at least {needed[2]}"
            rows.append((f"`{row['goal']}`", refusal, *[""] * 4, *mean))
            continue
        promises, seen = row["policy"]["promises"], row["on_test"]
        labels = [Promise.model_validate(promise).risk.label for promise in promises]
        risks = [seen["risks"][label][row["unit"]] for label in labels]
        counted = "/".join(dict.fromkeys(str(promise["images"]) for promise in promises))
        rows.append((
            f"`{row['goal']}`",
            f"{counted} {row['unit']}s",
            ", ".join(percent(promise["observed"]) for promise in promises),
            ", ".join(map(percent, risks)),
            percent(seen["cost"]), against_final(seen, result), *mean,
        ))  # fmt: skip
    return markdown_table(header, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    if not parser.parse_args().table_only:
        write_json(RESULT, measure())
    for name, result in read_json(RESULT)["datasets"].items():
        replace_between(PAGE, f"{name}-plain", plain_table(result))
        replace_between(PAGE, f"{name}-guarantees", guarantee_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
