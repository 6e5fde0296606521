"""Learned gates next to thresholds: what each costs on test images, and how accurate it is.

    python benchmarks/gates.py

reads tests/golden/colonoscopy{,_lite0}_logits.npz (prototype networks with four exits) and makes a
third set on which confidence lies: exit 1 is surest where it is wrong. Val + cal are halved by
groups, eight times: one half calibrates, the other certifies, and test is looked at. For the
policies that give up one point on calibrate it draws certify images from test, as many as it takes
until nine of ten draws prove the promise of the guarantee. Fifteen minutes on one core. Writes
benchmarks/results/gates.json and the table of docs/choosing-a-policy.md; `--table-only` makes the
table again from the JSON.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import sem

from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.document import Costs
from endoexit.policy.folds import subset
from endoexit.policy.goal_options import make_goal
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.pvalues import P_VALUES
from endoexit.policy.risks import loss_table, parse_risk
from endoexit.policy.rules.base import RuleKind
from endoexit.policy.search import find_policy
from endoexit.policy.table import outcome
from golden_cascade import subject
from golden_policies import Dataset
from tables import RESULTS, ROOT, markdown_table, replace_between

sys.path.append(str(ROOT / "tests"))
from learned_gates import lying

RESULT = RESULTS / "gates.json"
PAGE = ROOT / "docs" / "choosing-a-policy.md"
SPLITS = 8
KINDS: tuple[RuleKind, ...] = ("max_probability", "linear_gate", "jei_dnn", "eenet")
GOALS = {
    "cost": {"mean_exit_cost": 0.5},
    "drop": {"max_accuracy_drop": 0.01},
    "guarantee": {"guarantee": ["accuracy_loss<=0.05"]},
}
RISK, DELTA = parse_risk("accuracy_loss<=0.05"), 0.1
SAMPLES = (40, 60, 80, 100, 150, 200, 300, 400, 600, 800, 1200, 1600)
DRAWS, MOST = 200, 0.9  # draws of certify images, and the share of them that must prove the promise


@dataclass(frozen=True)
class Source:
    """Images for a comparison.

    Attributes:
        name: Name of the set, for the table.
        costs: Cost of each exit.
        draw: Function of a seed that returns calibrate, certify and test.
    """

    name: str
    costs: Costs
    draw: Callable[[int], tuple[LogitSet, ...]]


def halved(fitting: LogitSet, test: LogitSet) -> Callable[[int], tuple[LogitSet, ...]]:
    """Return the function that halves a set by its groups."""

    def draw(seed: int) -> tuple[LogitSet, ...]:
        groups = np.random.default_rng(seed).permutation(np.unique(fitting.groups))
        inside = np.isin(fitting.groups, groups[: len(groups) // 2])
        return subset(fitting, inside), subset(fitting, ~inside), test

    return draw


def sources() -> list[Source]:
    hifuse, lite = Dataset("colonoscopy"), subject(("lite0",))
    shares = tuple(cost / lite.macs[-1] for cost in lite.macs)
    made = Costs(values=(0.3, 0.6, 1.0), unit="relative", source="made")
    return [
        Source("colonoscopy, HiFuse", hifuse.costs, halved(hifuse.fitting, hifuse.test)),
        Source(
            "colonoscopy, EfficientNet-Lite0",
            Costs(values=shares, unit="relative", source="multiply-adds of the prototype"),
            halved(lite.fitting, lite.test),
        ),
        Source(
            "made: exit 1 is surest where it is wrong",
            made,
            lambda seed: tuple(
                lying(images, 3 * seed + place) for place, images in enumerate((225, 225, 2000))
            ),
        ),
    ]


def seen(source: Source, kind: RuleKind, goal: str, seed: int) -> dict[str, float]:
    """Return what a policy that was found on one split does on test."""
    calibrate, certify, test = source.draw(seed)
    result = find_policy(
        make_goal(**GOALS[goal]),
        calibrate=calibrate,
        certify=certify if goal == "guarantee" else None,
        costs=source.costs,
        classes=tuple("abcde"[: test.num_classes]),
        options=RuleOptions(rule=kind),
    )
    exits = result.policy.assign(test.logits)
    shown = outcome(test, exits, source.costs.values)
    needed = certify_images(test, exits, seed) if goal == "drop" else None
    return {
        "cost": shown.cost,
        "minus_final": shown.accuracy - test.final_accuracy,
        "expected_cost": result.expected.cost,
        "proven": float(not result.policy.fell_back),
        "certify_images": needed,
    }


def certify_images(test: LogitSet, exits: NDArray[np.int64], seed: int) -> int | None:
    """Return how many certify images prove the promise nearly always; None if more than tried.

    Their losses are drawn from those of the test images, with replacement.
    """
    classes = tuple("abcde"[: test.num_classes])
    losses = loss_table(RISK, test, classes).of(exits)
    generator = np.random.default_rng(seed)
    for images in SAMPLES:
        drawn = generator.choice(losses, (DRAWS, images))
        proven = sum(P_VALUES["exact trinomial"](draw, RISK.tolerance) <= DELTA for draw in drawn)
        if proven >= MOST * DRAWS:
            return images
    return None


def measure() -> dict:
    rows = []
    for source in sources():
        for kind in KINDS:
            for goal in GOALS:
                splits = [seen(source, kind, goal, seed) for seed in range(SPLITS)]
                rows.append({"set": source.name, "rule": kind, "goal": goal, "splits": splits})
            print(source.name, kind, flush=True)
    return {
        "command": "python benchmarks/gates.py",
        "machine": describe_machine(),
        "versions": library_versions(),
        "goals": GOALS,
        "rows": rows,
    }


def values(rows: list[dict], name: str, kind: str, goal: str, key: str) -> np.ndarray:
    """Return a figure of every split, in per cent."""
    row = next(row for row in rows if (row["set"], row["rule"], row["goal"]) == (name, kind, goal))
    return 100 * np.array([split[key] for split in row["splits"]])


def compared(here: np.ndarray, plain: np.ndarray) -> str:
    """Return how figures differ from those of thresholds, split by split; nothing for those."""
    away = here - plain
    if not away.any():
        return ""
    return f" ({away.mean():+.1f} ± {sem(away):.1f})"


def cells(rows: list[dict], name: str, kind: str, goal: str) -> tuple[str, str]:
    """Return the mean cost and the points against the final exit, next to those of thresholds."""
    words = []
    for key, sign in (("cost", ".1f"), ("minus_final", "+.1f")):
        here = values(rows, name, kind, goal, key)
        differs = compared(here, values(rows, name, KINDS[0], goal, key))
        words.append(f"{here.mean():{sign}}{differs}")
    return words[0], words[1]


def needed(rows: list[dict], name: str, kind: str) -> str:
    """Return the median over the splits of the certify images that a promise takes."""
    row = next(
        row for row in rows if (row["set"], row["rule"], row["goal"]) == (name, kind, "drop")
    )
    counts = sorted(split["certify_images"] or float("inf") for split in row["splits"])
    middle = counts[len(counts) // 2]
    return f"more than {SAMPLES[-1]}" if middle == float("inf") else str(middle)


def table(result: dict) -> str:
    header = ("images", "rule", "half the cost: cost, %", "points", "1 point given up: cost, %",
              "points", "certify images", "guarantee: cost, %", "points")  # fmt: skip
    rows = result["rows"]
    names = dict.fromkeys(row["set"] for row in rows)
    lines = []
    for name, kind in itertools.product(names, KINDS):
        half, drop, promise = (cells(rows, name, kind, goal) for goal in GOALS)
        count = needed(rows, name, kind)
        lines.append((name, f"`{kind}`", *half, *drop, count, *promise))
    return markdown_table(header, lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    if not parser.parse_args().table_only:
        write_json(RESULT, measure())
    replace_between(PAGE, "gates", table(read_json(RESULT)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
