"""Does the guarantee hold, and is it worth having? Simulated exits with exactly known risks.

    OMP_NUM_THREADS=1 python benchmarks/guarantee_simulation.py

draws 2000 times a calibrate and a certify cohort for each setting, finds the policy as
`endoexit calibrate` does, and compares its true risk with the promise. About ten minutes on one
core. Writes benchmarks/results/guarantee_simulation.json and the table of
docs/guarantee-simulation.md; `--table-only` makes the table again from the JSON.
"""

import argparse
import sys
import time
from dataclasses import asdict

from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.goals import Guarantee
from endoexit.policy.risks import Risk
from endoexit.policy.simulation import RISK_CLASSES, SimulatedExits, repeat_guarantee
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "guarantee_simulation.json"
PAGE = ROOT / "docs" / "guarantee-simulation.md"

# The tolerance shrinks with the sample: zero losses in 100 images can not prove 2 %.
SETTINGS = ((100, 0.1), (500, 0.05), (2000, 0.02))
DELTAS = (0.05, 0.1)
SAVING_TO_KEEP = 0.8


def simulate(repetitions: int, seed: int) -> dict:
    network = SimulatedExits()
    rows, start = [], time.perf_counter()
    for images, tolerance in SETTINGS:
        for name, of_class in RISK_CLASSES.items():
            for delta in DELTAS:
                goal = Guarantee(
                    risks=(Risk(name=name, tolerance=tolerance, of_class=of_class),), delta=delta
                )
                seen = repeat_guarantee(network, goal, images, repetitions, seed)
                rows.append(asdict(seen) | {"allowed": seen.allowed})
                print(f"{images:5d} images, {goal}: broken in {seen.violations:.4f} "
                      f"(allowed {seen.allowed:.4f})", file=sys.stderr)  # fmt: skip
    return {
        "command": "python benchmarks/guarantee_simulation.py "
        f"--repetitions {repetitions} --seed {seed}",
        "network": asdict(network),
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        "machine": describe_machine(),
        "versions": library_versions(),
        "rows": rows,
    }


def table(rows: list[dict]) -> str:
    header = ("risk", "images", "ε", "δ", "promise broken", "allowed", "untested rule broke it",
              "saves", "best rule saves", "kept")  # fmt: skip
    lines = [
        (
            f"`{row['risk']}`",
            str(row["images"]),
            f"{row['tolerance']:g}",
            f"{row['delta']:g}",
            f"{row['violations']:.2%}",
            f"{row['allowed']:.2%}",
            f"{row['naive_violations']:.0%}",
            f"{row['saving']:.1%}",
            f"{row['best_saving']:.1%}",
            f"{row['saving'] / row['best_saving']:.0%}",
        )
        for row in rows
    ]
    return markdown_table(header, lines)


def failures(rows: list[dict]) -> list[str]:
    """Return what does not hold: broken promises, and too little saving at 2000 images."""
    return [
        f"{row['risk']}, {row['images']} images, δ = {row['delta']}: {what}"
        for row in rows
        for what, holds in (
            ("the promise is broken too often", row["violations"] <= row["allowed"]),
            (
                "the guarantee is idle",
                row["images"] < 2000 or row["saving"] >= SAVING_TO_KEEP * row["best_saving"],
            ),
        )
        if not holds
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    options = parser.parse_args()
    if not options.table_only:
        write_json(RESULT, simulate(options.repetitions, options.seed))
    rows = read_json(RESULT)["rows"]
    replace_between(PAGE, "guarantee-simulation", table(rows))
    for failure in failures(rows):
        print(f"does not hold: {failure}", file=sys.stderr)
    return bool(failures(rows))


if __name__ == "__main__":
    sys.exit(main())
