"""How long a training takes with each strategy, against the joint sum.

    python benchmarks/strategy_times.py                        all networks and strategies
    python benchmarks/strategy_times.py --networks lite0 --rounds 5

Each round trains all strategies, one after the other, for four epochs. A figure is the
processor time of the second and the fourth epoch, as a ratio to that of the joint sum in the same
round; the result has the median over the rounds, the smallest and the largest. Strategies of
two parts spend half of the epochs in each, so both parts count; the first epoch is left out, as it
prepares what later ones use.
The images are one in six of each role. Teachers are the runs of `strategies.py`, which trains them.
Writes benchmarks/results/strategy_times.json; `strategies.py --table-only` puts it into the page.
"""

import argparse
import csv
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from real_split import make_manifest
from strategies import BASE, NETWORKS, STRATEGIES, TIMES, Study, strategies_on, what_to_train
from tables import ROOT, without_places

EPOCHS, EVERY, SEED = 4, 6, 0
COUNTED = (2, EPOCHS)  # epochs, one of each half


def make_small_manifest(whole: Path, path: Path) -> None:
    """Write a manifest with one in six images of each role."""
    manifest = read_manifest(whole)
    rows = [
        row
        for role in ("train", "val", "calibrate", "test")
        for row in [row for row in manifest.rows if row.role == role][::EVERY]
    ]
    write_manifest(path, rows, manifest.root, {"made_by": "benchmarks/strategy_times.py"})


def seconds_of(metrics: Path) -> float:
    """Return the processor time of the epochs that count."""
    with metrics.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return sum(float(row["cpu_seconds"]) for row in rows if int(row["epoch"]) in COUNTED)


def ratios(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median, smallest and largest ratio of each strategy to the joint sum of its round."""
    by_name = {}
    for name in rounds[0]:
        values = [seconds[name] / seconds[BASE] for seconds in rounds]
        by_name[name] = {
            "median": statistics.median(values), "smallest": min(values), "largest": max(values),
        }  # fmt: skip
    return by_name


def measure(network: str, study: Study, rounds: int) -> dict[str, Any]:
    """Train all strategies, one after the other, and return the ratios of their times."""
    names = strategies_on(network, list(STRATEGIES))
    seen: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.csv"
        make_small_manifest(study.manifest, small)
        for number in range(rounds):
            seconds = {}
            for name in names:
                what, _ = what_to_train(network, name, SEED, study)
                run = Path(folder) / f"{name}-{number}"
                Study(small, Path(folder)).train([*what, "--set", f"epochs={EPOCHS}"], SEED, run)
                seconds[name] = seconds_of(run / "metrics.csv")
            seen.append(seconds)
    return {
        "rounds": rounds,
        "ratios": ratios(seen),
        "command": without_places(" ".join(["python", *sys.argv])),
        "machine": describe_machine(),
        "versions": library_versions(),
    }


def main() -> None:
    """Measure and write the result, network by network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "strategies")
    arguments = parser.parse_args()
    manifest = arguments.runs / "colonoscopy.csv"
    make_manifest("colonoscopy", manifest, certify=False)
    for network in arguments.networks:
        times = measure(network, Study(manifest, arguments.runs), arguments.rounds)
        earlier = read_json(TIMES) if TIMES.is_file() else {}  # another call may write as well
        write_json(TIMES, {**earlier, network: times})


if __name__ == "__main__":
    main()
