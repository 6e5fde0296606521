"""Training strategies on colonoscopy images: every strategy, two networks, several seeds.

    python benchmarks/strategies.py                            all of them
    python benchmarks/strategies.py --networks lite0 --seeds 0 --strategies joint distil
    python benchmarks/strategies.py --table-only               the page from the last results

What is finished is not done again; an interrupted training continues where it stopped. Results of
earlier calls are kept, so the tables can be filled over several sittings. For each run it finds the
cheapest policies that give up half a point and one point of accuracy on calibrate, with thresholds
and with learned gates, and looks at them on test. Results go to benchmarks/results/strategies.json,
tables into docs/strategies.md.
`--manifest` and `--set` make the same of other images and settings.
"""

import argparse
import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endoexit.artifacts.run import open_run
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.runtime.session import open_session
from real import train
from real_split import make_manifest
from strategy_rules import DROPS, measure_policies, rules_table
from tables import (
    RESULTS,
    ROOT,
    markdown_table,
    mean_and_range,
    replace_between,
    without_places,
)

PAGE, RESULT = ROOT / "docs" / "strategies.md", RESULTS / "strategies.json"
BASE = "joint"
_FINE_TUNE = ("--recipe", "fine-tune")
NETWORKS: dict[str, tuple[str, ...]] = {
    "lite0": (
        "--model", "efficientnet_lite0", "--weights", "pip:lite0", *_FINE_TUNE,
        "--exits", "blocks.2,blocks.5.0,blocks.5",
    ),
    "nano": ("--model", "ee_hifuse_nano", "--recipe", "small-data"),
}  # fmt: skip
# The same network on smaller images, which runs on larger ones teach.
NETWORKS["lite0-96"] = (*NETWORKS["lite0"], "--set", "image.size=96")
TEACHERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "distil": (
        "lite0-self-distil", (*NETWORKS["lite0"], "--set", "strategy={name: self-distil}"),
    ),
    "distil-large": (
        "lite2-192",
        ("--model", "efficientnet_lite2", "--weights", "pip:lite2", *_FINE_TUNE,
         "--exits", "none", "--set", "image.size=192", "--set", "image.canvas=288"),
    ),
}  # fmt: skip
STRATEGIES: dict[str, str] = {
    "joint": "{name: joint}",
    "linear": "{name: weighted, weights: linear}",
    "sdn": "{name: weighted, weights: sdn}",
    "self-distil": "{name: self-distil}",
    "distil": "{name: distil, teacher: '%s'}",
    "distil-large": "{name: distil, teacher: '%s'}",
    "equilibrium": "{name: equilibrium}",
    "two-stage": "{name: two-stage}",
    "eenet": "{name: eenet}",
    "adversarial": "{name: adversarial, steps: 3}",
    "collaboration": "{name: collaboration}",
}
ON_NETWORK = {"lite0-96": ("joint", "self-distil", "distil")}  # on others, all
NEEDS = {"collaboration": ("--set", "model.collaborate=true")}


def carry_out(arguments: argparse.Namespace, manifest: Path) -> None:
    """Train what is not trained yet, and add what each run showed to the results."""
    changes = [word for change in arguments.change for word in ("--set", change)]
    threads = ("--threads", arguments.threads)
    rows = read_json(arguments.result)["rows"] if arguments.result.is_file() else []
    for seed in arguments.seeds:
        for network in arguments.networks:
            for name in _strategies_on(network, arguments.strategies):
                settings = STRATEGIES[name]
                if name in TEACHERS:
                    known, train_it = TEACHERS[name]
                    teacher = arguments.runs / f"{known}-seed{seed}"
                    train(manifest, [*train_it, *changes], seed, teacher, *threads)
                    settings %= teacher
                run = arguments.runs / f"{network}-{name}-seed{seed}"
                what = [*NETWORKS[network], *changes, *NEEDS.get(name, ()),
                        "--set", f"strategy={settings}"]  # fmt: skip
                train(manifest, what, seed, run, *threads)
                row = {"network": network, "strategy": name, "seed": seed, **measure(run)}
                rows = with_row(rows, row)
                write_json(arguments.result, {"rows": rows, "machine": describe_machine(),
                                              "versions": library_versions()})  # fmt: skip


def _strategies_on(network: str, asked: Sequence[str]) -> list[str]:
    return [name for name in asked if name in ON_NETWORK.get(network, STRATEGIES)]


def with_row(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows with one more, in place of an earlier one of the same run."""

    def place(each: dict[str, Any]) -> tuple[int, int, int]:
        return (list(NETWORKS).index(each["network"]), list(STRATEGIES).index(each["strategy"]),
                each["seed"])  # fmt: skip

    return sorted([*(each for each in rows if place(each) != place(row)), row], key=place)


def measure(run: Path) -> dict[str, Any]:
    """Return what the exits and the policies of a run do on test, and how it was trained."""
    return {
        **measure_policies(open_session(open_run(run))),
        "cpu_seconds": cpu_seconds(run / "metrics.csv"),
        "command": without_places(open_run(run).config.command),
    }


def cpu_seconds(metrics: Path) -> float | None:
    """Return the processor time of a training; None where not every epoch has it."""
    with metrics.open(encoding="utf-8", newline="") as stream:
        epochs = [row.get("cpu_seconds") for row in csv.DictReader(stream)]
    return None if None in epochs else sum(map(float, filter(None, epochs)))


def tables(result: dict[str, Any]) -> str:
    """Return one table for each network, with a sentence on what helps."""
    parts = []
    for network in dict.fromkeys(row["network"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["network"] == network]
        names = list(dict.fromkeys(row["strategy"] for row in rows))
        of = {name: [row for row in rows if row["strategy"] == name] for name in names}
        exits = len(rows[0]["accuracy"])
        header = ["strategy", *(f"exit {k}" for k in range(1, exits)), "final exit"]
        header += ["all exits against `joint`"]
        header += [cell for drop in DROPS for cell in (f"cost at −{100 * drop:g} point", "points")]
        table = markdown_table(
            [*header, "training time"], [_line(name, of, exits) for name in names]
        )
        seeds = len({row["seed"] for row in rows})
        what = f"`{' '.join(NETWORKS[network])}`, seeds: {seeds}."
        planned = _strategies_on(network, list(STRATEGIES))
        missing = ", ".join(f"`{name}`" for name in planned if name not in of)
        if missing:
            what += f" Not trained yet: {missing}."
        parts += [f"{what} {_sentence(of)}", table, rules_table(rows)]
    return "\n\n".join(parts)


def _line(name: str, of: dict[str, list[dict[str, Any]]], exits: int) -> list[str]:
    rows = of[name]
    line = [f"`{name}`"]
    line += [mean_and_range([100 * row["accuracy"][k] for row in rows]) for k in range(exits)]
    gains = [] if name == BASE else _gains(name, of)
    error = f" ± {statistics.stdev(gains) / len(gains) ** 0.5:.1f}" if len(gains) > 1 else ""
    line.append(f"{statistics.fmean(gains):+.1f}{error}" if gains else "–")
    for number in range(len(DROPS)):
        policies = [row["policies"][number] for row in rows]
        line.append(mean_and_range([100 * policy["cost"] for policy in policies]))
        line.append(f"{100 * statistics.fmean(policy['gap'] for policy in policies):+.1f}")
    base = {row["seed"]: row["cpu_seconds"] for row in of.get(BASE, []) if row["cpu_seconds"]}
    times = [
        row["cpu_seconds"] / base[row["seed"]]
        for row in rows
        if row["cpu_seconds"] and row["seed"] in base
    ]
    return [*line, f"{statistics.fmean(times):.2f}" if times else "–"]


def _gains(name: str, of: dict[str, list[dict[str, Any]]]) -> list[float]:
    """Return the points that the mean over the exits wins against the joint sum, by seed."""
    base = {row["seed"]: statistics.fmean(row["accuracy"]) for row in of.get(BASE, [])}
    return [
        100 * (statistics.fmean(row["accuracy"]) - base[row["seed"]])
        for row in of[name]
        if row["seed"] in base
    ]


def _sentence(of: dict[str, list[dict[str, Any]]]) -> str:
    """Say which strategies are better, or worse, than the joint sum with every seed."""
    better, worse = [], []
    for name in of:
        gains = _gains(name, of)
        if name == BASE or not gains:
            continue
        words = f"`{name}` ({statistics.fmean(gains):+.1f} points)"
        if min(gains) > 0:
            better.append(words)
        elif max(gains) < 0:
            worse.append(words)
    if BASE not in of:
        return "The joint sum was not trained, so nothing is compared."
    return (
        "In the mean over the exits, better than the joint sum with every seed: "
        f"{', '.join(better) or 'none'}; worse with every seed: {', '.join(worse) or 'none'}."
    )


def main() -> None:
    """Train, measure, and write results and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "strategies")
    parser.add_argument("--manifest", type=Path, help="other images than colonoscopy")
    parser.add_argument("--set", dest="change", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--table-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table_only:
        manifest = arguments.manifest
        if manifest is None:
            manifest = arguments.runs / "colonoscopy.csv"
            make_manifest("colonoscopy", manifest, certify=False)
        carry_out(arguments, manifest)
    text = tables(read_json(arguments.result))
    if arguments.result == RESULT:
        replace_between(PAGE, "strategies", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
