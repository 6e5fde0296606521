"""The paper's Table 3 on real images of its own family: does exit 2 beat the baseline?

    python benchmarks/paper_table3.py --data colonoscopy --seeds 0 1 2
    python benchmarks/paper_table3.py --seeds 0 --minutes 9      (part of it; run again to go on)

Trains `hifuse_small` and `ee_hifuse_small` (dense, 224×224) with the recipe `paper`, groups of
near-copies kept together, and evaluates every exit. Needs a GPU: 100 epochs take about two days
on 2 CPU cores. Runs go to runs/table3; what is finished is not done again. With --minutes, a
training that is still going is stopped after so long and goes on from its last epoch next time.
Writes benchmarks/results/table3_<data>.json and the logits of all roles and exits as
benchmarks/results/table3_<data>_seed<seed>_<model>.npz.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import open_run
from endoexit.evaluation.document import Evaluation
from endoexit.files import read_json, replacing, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.runtime.session import open_session
from real_split import make_manifest
from tables import RESULTS, ROOT

BASELINE, EARLY, RECIPE = "hifuse_small", "ee_hifuse_small", "paper"
ROWS = {"twin": "HiFuse (baseline)", "exit 1": "exit 1", "exit 2": "exit 2", "exit 3": "exit 3",
        "final": "final"}  # fmt: skip
PAPER = {"twin": 86.6, "exit 1": 82.8, "exit 2": 88.1, "exit 3": 87.1, "final": 88.1}


def endoexit(*arguments: object, seconds: float | None = None) -> bool:
    """Run one command of the package; False when the time ran out."""
    line = [str(Path(sys.executable).with_name("endoexit")), *map(str, arguments)]
    print("$ endoexit", *arguments, flush=True)
    try:
        subprocess.run(line, check=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def train(manifest: Path, model: str, seed: int, run: Path, until: float) -> bool:
    """Train until the clock says stop; True when the training is complete."""
    if (run / "config.json").is_file():
        if open_run(run).is_complete:
            return True
        arguments: list[object] = ["--resume", run]
    else:
        arguments = [manifest, "--model", model, "--recipe", RECIPE, "--seed", seed, "--out", run]
    left = until - time.monotonic()
    return left > 0 and endoexit("train", *arguments, seconds=left)


def keep_logits(run: Path, target: Path, device: str) -> None:
    """Write the logits and labels of every role into one file."""
    opened = open_run(run)
    arrays: dict[str, Any] = {}
    for role in opened.manifest().counts():
        found = open_session(opened, device=device).logits(role)
        arrays |= {f"{role}_logits": found.logits, f"{role}_labels": found.labels}
    with replacing(target) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def summarise(data: str, seeds: list[int], folder: Path) -> dict[str, Any]:
    """Return the table of all seeds."""
    found = {
        seed: Evaluation.model_validate(read_json(folder / f"{EARLY}-seed{seed}/evaluation.json"))
        for seed in seeds
    }
    rows = {}
    for key, label in ROWS.items():
        own = [evaluation.row(key) for evaluation in found.values()]
        accuracies = [100 * (row.scores.accuracy.value or 0.0) for row in own]
        rows[label] = {
            "paper_percent": PAPER[key],
            "accuracy_percent": [round(value, 2) for value in accuracies],
            "mean_percent": round(statistics.fmean(accuracies), 2),
            "intervals": [row.scores.accuracy.model_dump(mode="json") for row in own],
            "beside_baseline": [
                row.beside_twin.model_dump(mode="json") if row.beside_twin else None for row in own
            ],
            "parameters": own[0].parameters,
            "macs": own[0].macs,
        }
    return {
        "command": f"python benchmarks/paper_table3.py --data {data} --seeds "
        + " ".join(map(str, seeds)),
        "recipe": RECIPE,
        "seeds": seeds,
        "rows": rows,
        "exit_2_beats_the_baseline": rows["exit 2"]["mean_percent"]
        > rows["HiFuse (baseline)"]["mean_percent"],
        "machine": describe_machine(),
        "versions": library_versions(),
    }


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=["colonoscopy", "otoscopy"], default="colonoscopy")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    folder = ROOT / "runs" / "table3" / arguments.data
    manifest = folder / "manifest.csv"
    make_manifest(arguments.data, manifest)
    for seed in arguments.seeds:
        for model in (BASELINE, EARLY):
            run = folder / f"{model}-seed{seed}"
            if not train(manifest, model, seed, run, until):
                raise SystemExit(f"{run} is not complete: run the same command again to go on.")
            name = f"table3_{arguments.data}_seed{seed}_{model}.npz"
            keep_logits(run, RESULTS / name, arguments.device)
        early, baseline = (folder / f"{model}-seed{seed}" for model in (EARLY, BASELINE))
        endoexit("evaluate", early, "--against", baseline, "--device", arguments.device)
    result = summarise(arguments.data, arguments.seeds, folder)
    write_json(RESULTS / f"table3_{arguments.data}.json", result)
    for label, row in result["rows"].items():
        print(
            f"{label:20} {row['mean_percent']:6.2f} %   (paper, Kvasir: {row['paper_percent']} %)"
        )


if __name__ == "__main__":
    main()
