"""Is a goal of accuracy kept on images that did not choose the policy?

    python benchmarks/held_out.py

pools all images of the golden logits (tests/golden: val, cal and test of each dataset; none of them
trained the network) and divides them 100 times by group at random: one half is calibrate, the other
is new. A policy for each goal is chosen in two ways: the cheapest that meets the goal on the images
that chose it, and what `endoexit calibrate` takes, which must meet it on held-out images of
calibrate. Under two minutes. Writes benchmarks/results/held_out.json and a table of
docs/golden-policies.md.
"""

import statistics
from typing import Any

import numpy as np

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.choice import choose
from endoexit.policy.folds import subset
from endoexit.policy.goals import AccuracyDrop
from endoexit.policy.logits import LogitSet
from endoexit.policy.search import find_policy
from endoexit.policy.table import outcome
from golden_policies import PAGE, Dataset
from tables import RESULTS, markdown_table, replace_between

RESULT = RESULTS / "held_out.json"
SPLITS = 100
DROPS = (0.0, 0.005, 0.01, 0.02)
CHEAPEST, HELD_OUT = "cheapest on calibrate", "held-out images"


def halves(data: LogitSet, seed: int) -> tuple[LogitSet, LogitSet]:
    """Divide a cohort into two at random, whole groups each."""
    groups = np.unique(data.groups)
    shuffled = np.random.default_rng(seed).permutation(groups)
    inside = np.isin(data.groups, shuffled[: len(groups) // 2])
    return subset(data, inside), subset(data, ~inside)


def look(dataset: Dataset) -> list[dict[str, Any]]:
    """Return what each goal and way costs and loses on new images, mean over all splits."""
    pool = LogitSet(
        "all",
        np.concatenate([dataset.fitting.logits, dataset.test.logits], axis=1),
        np.concatenate([dataset.fitting.labels, dataset.test.labels]),
        np.concatenate([dataset.fitting.groups, dataset.test.groups]),
    )
    costs = dataset.costs
    rows = []
    for drop in DROPS:
        goal = AccuracyDrop(drop=drop)
        seen: dict[str, list[tuple[float, float]]] = {CHEAPEST: [], HELD_OUT: []}
        for seed in range(SPLITS):
            calibrate, new = halves(pool, seed)
            result = find_policy(goal, calibrate=calibrate, costs=costs, classes=dataset.classes)
            policy = result.policy
            cheapest = policy.front[
                choose(goal, policy.front, costs, calibrate.final_accuracy)
            ].rule
            for way, rule in ((CHEAPEST, cheapest), (HELD_OUT, policy.rule)):
                exits = rule.assign(new.logits, policy.temperatures)
                there = outcome(new, exits, costs.values)
                lost = new.final_accuracy - there.accuracy
                seen[way].append((lost, there.cost / costs.values[-1]))
        for way, pairs in seen.items():
            lost, cost = zip(*pairs, strict=True)
            rows.append(
                {
                    "data": dataset.name,
                    "drop": drop,
                    "way": way,
                    "lost": statistics.fmean(lost),
                    "lost_sd": statistics.stdev(lost),
                    "cost": statistics.fmean(cost),
                }
            )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    header = ["data", "points asked for", "chosen by", "points lost on new images", "cost"]
    lines = [
        [
            row["data"],
            f"{100 * row['drop']:g}",
            row["way"],
            f"{100 * row['lost']:.2f} ± {100 * row['lost_sd']:.2f}",
            f"{100 * row['cost']:.1f} %",
        ]
        for row in rows
    ]
    return (
        f"{markdown_table(header, lines)}\n\nMeans over {SPLITS} divisions into two halves, with "
        "the standard deviation between the divisions. Made by `python benchmarks/held_out.py`."
    )


def main() -> None:
    """Measure, and write the result and the table."""
    rows = [row for name in ("colonoscopy", "otoscopy") for row in look(Dataset(name))]
    write_json(
        RESULT, {"rows": rows, "machine": describe_machine(), "versions": library_versions()}
    )
    replace_between(PAGE, "held-out", table(rows))


if __name__ == "__main__":
    main()
