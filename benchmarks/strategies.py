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
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import sem

from endoexit.artifacts.run import open_run
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.runtime.session import open_session
from real import train
from real_split import make_manifest
from strategy_rules import DROPS, measure_policies, rules_sentence, rules_table
from tables import (
    RESULTS,
    ROOT,
    markdown_table,
    mean_and_range,
    replace_between,
    without_places,
)

PAGE, RESULT = ROOT / "docs" / "strategies.md", RESULTS / "strategies.json"
TIMES = RESULTS / "strategy_times.json"
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


@dataclass(frozen=True)
class Study:
    """Images and runs.

    Attributes:
        manifest: Manifest of the images.
        runs: Folder of the runs.
        changes: Options of all trainings.
        threads: Threads of a training.
    """

    manifest: Path
    runs: Path
    changes: tuple[str, ...] = ()
    threads: int = 1

    def train(self, what: Sequence[str], seed: int, run: Path) -> None:
        """Train a run, continue it, or leave it as it is."""
        train(self.manifest, what, seed, run, "--threads", self.threads)


def carry_out(arguments: argparse.Namespace, study: Study) -> None:
    """Train what is not trained yet, and add what each run showed to the results."""
    rows = read_json(arguments.result)["rows"] if arguments.result.is_file() else []
    for seed in arguments.seeds:
        for network in arguments.networks:
            for name in strategies_on(network, arguments.strategies):
                what, teacher = what_to_train(network, name, seed, study)
                run = study.runs / f"{network}-{name}-seed{seed}"
                study.train(what, seed, run)
                row = {"network": network, "strategy": name, "seed": seed, **measure(run, teacher)}
                rows = with_row(rows, row)
                write_json(arguments.result, {"rows": rows, "machine": describe_machine(),
                                              "versions": library_versions()})  # fmt: skip


def strategies_on(network: str, asked: Sequence[str]) -> list[str]:
    """Return those of some strategies that are tried on a network."""
    return [name for name in asked if name in ON_NETWORK.get(network, STRATEGIES)]


def what_to_train(
    network: str, name: str, seed: int, study: Study
) -> tuple[list[str], Path | None]:
    """Return the options of a training, and its teacher, which is trained first if need be."""
    settings, teacher = STRATEGIES[name], None
    if name in TEACHERS:
        known, train_it = TEACHERS[name]
        teacher = study.runs / f"{known}-seed{seed}"
        study.train([*train_it, *study.changes], seed, teacher)
        settings %= teacher
    options = (*NETWORKS[network], *study.changes, *NEEDS.get(name, ()))
    return [*options, "--set", f"strategy={settings}"], teacher


def with_row(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows with one more, in place of an earlier one of the same run."""

    def place(each: dict[str, Any]) -> tuple[int, int, int]:
        return (list(NETWORKS).index(each["network"]), list(STRATEGIES).index(each["strategy"]),
                each["seed"])  # fmt: skip

    return sorted([*(each for each in rows if place(each) != place(row)), row], key=place)


def measure(run: Path, teacher: Path | None) -> dict[str, Any]:
    """Return what the exits and the policies of a run do on test, and the command that trained it.

    `teacher` is the accuracy of the final exit of the run that taught it, on test as well.
    """
    return {
        **measure_policies(open_session(open_run(run))),
        "teacher": None if teacher is None else final_accuracy(teacher),
        "command": without_places(open_run(run).config.command),
    }


def final_accuracy(run: Path) -> float:
    """Return the accuracy of the final exit of a run on test."""
    return open_session(open_run(run)).logits("test").as_set().final_accuracy


def tables(result: dict[str, Any], times: dict[str, Any]) -> str:
    """Return one table for each network, with a sentence on what helps.

    `times` is the result of `strategy_times.py`.
    """
    parts = []
    for network in dict.fromkeys(row["network"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["network"] == network]
        names = list(dict.fromkeys(row["strategy"] for row in rows))
        of = {name: [row for row in rows if row["strategy"] == name] for name in names}
        exits = len(rows[0]["accuracy"])
        header = ["strategy", *(f"exit {k}" for k in range(1, exits)), "final exit"]
        header += ["all exits against `joint`"]
        for drop in DROPS:
            header += [f"cost at −{100 * drop:g} point", "least", "points"]
        ratios = times.get(network, {}).get("ratios", {})
        lines = [[*_line(name, of, exits), _time(ratios.get(name))] for name in names]
        table = markdown_table([*header, "training time"], lines)
        seeds = len({row["seed"] for row in rows})
        what = f"`{' '.join(NETWORKS[network])}`, seeds: {seeds}. One image takes "
        what += f"{rows[0]['macs'] / 1e6:.0f} million multiply-adds through all exits."
        fewer = ", ".join(f"`{name}` {len(of[name])}" for name in names if len(of[name]) < seeds)
        if fewer:
            what += f" Seeds of those that have fewer: {fewer}."
        planned = strategies_on(network, list(STRATEGIES))
        missing = ", ".join(f"`{name}`" for name in planned if name not in of)
        if missing:
            what += f" Not trained yet: {missing}."
        parts += [
            f"{what} {_sentence(of)}{_teachers(of)}",
            table,
            rules_sentence(rows),
            rules_table(rows),
        ]
    return "\n\n".join(parts)


def _line(name: str, of: dict[str, list[dict[str, Any]]], exits: int) -> list[str]:
    rows = of[name]
    line = [f"`{name}`"]
    line += [mean_and_range([100 * row["accuracy"][k] for row in rows]) for k in range(exits)]
    gains = [] if name == BASE else _gains(name, of, _accuracy)
    error = f" ± {sem(gains):.1f}" if len(gains) > 1 else ""
    line.append(f"{statistics.fmean(gains):+.1f}{error}" if gains else "–")
    for number in range(len(DROPS)):
        policies = [row["policies"][number] for row in rows]
        line.append(mean_and_range([100 * policy["cost"] for policy in policies]))
        line.append(f"{100 * statistics.fmean(policy['least'] for policy in policies):.1f}")
        line.append(f"{100 * statistics.fmean(policy['gap'] for policy in policies):+.1f}")
    return line


def _time(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return "–"
    median, *ends = (f"{ratio[name]:.2f}" for name in ("median", "smallest", "largest"))
    return median if set(ends) == {median} else f"{median} ({'–'.join(ends)})"


def _gains(
    name: str, of: dict[str, list[dict[str, Any]]], figure: Callable[[dict[str, Any]], float]
) -> list[float]:
    """Return by how many hundredths a figure is larger than that of the joint sum, by seed."""
    base = {row["seed"]: figure(row) for row in of.get(BASE, [])}
    return [100 * (figure(row) - base[row["seed"]]) for row in of[name] if row["seed"] in base]


def _accuracy(row: dict[str, Any]) -> float:
    return statistics.fmean(row["accuracy"])


def _cost(row: dict[str, Any]) -> float:
    return float(row["policies"][0]["cost"])


def _sentence(of: dict[str, list[dict[str, Any]]]) -> str:
    """Say which strategies are better, or worse, than the joint sum with every seed."""
    if BASE not in of:
        return "The joint sum was not trained, so nothing is compared."
    more, less = _always(of, _accuracy)
    dearer, cheaper = _always(of, _cost)
    return (
        f"In the mean over the exits, better than the joint sum with every seed: {more}; worse "
        f"with every seed: {less}. A policy that gives up {100 * DROPS[0]:g} point costs less than "
        f"that of the joint sum with every seed: {cheaper}; more with every seed: {dearer}."
    )


def _always(
    of: dict[str, list[dict[str, Any]]], figure: Callable[[dict[str, Any]], float]
) -> tuple[str, str]:
    """Return which strategies have a larger figure with every seed, and which a smaller one.

    Those that miss a seed of the joint sum are left out.
    """
    words: dict[bool, list[str]] = {True: [], False: []}
    for name in of:
        gains = _gains(name, of, figure)
        if len(gains) == len(of[BASE]) and (min(gains) > 0 or max(gains) < 0):
            words[min(gains) > 0].append(f"`{name}` ({statistics.fmean(gains):+.1f} points)")
    return ", ".join(words[True]) or "none", ", ".join(words[False]) or "none"


def _teachers(of: dict[str, list[dict[str, Any]]]) -> str:
    """Say how good the final exits of the teachers are."""
    words = [
        f" The teachers of `{name}` reach {mean_and_range([100 * row['teacher'] for row in rows])}."
        for name, rows in of.items()
        if name in TEACHERS
    ]
    return "".join(words)


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
        changes = tuple(word for change in arguments.change for word in ("--set", change))
        carry_out(arguments, Study(manifest, arguments.runs, changes, arguments.threads))
    times = read_json(TIMES) if TIMES.is_file() else {}
    text = tables(read_json(arguments.result), times)
    if arguments.result == RESULT:
        replace_between(PAGE, "strategies", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
