"""The paper's Table 3 on real images like those of the paper: does exit 2 beat the baseline?

    python benchmarks/paper_table3.py --data colonoscopy --seeds 0 1 2
    python benchmarks/paper_table3.py --seeds 0 --minutes 9      (part of it; run again to continue)
    python benchmarks/paper_table3.py --recipe fine-tune         (EfficientNet-Lite0, pretrained)

Runs `endoexit reproduce kvasir --split groups` for each seed: `hifuse_small` and `ee_hifuse_small`
(dense, 224×224), recipe `paper`, near-copies kept together. All seeds have the same split. Needs a
GPU: 100 epochs take about two days on 2 CPU cores. What is finished is not done again. With
--minutes, a training that is still running is stopped after so long, and continues from its last
epoch the next time. Writes benchmarks/results/table3_<data>_<recipe>.json, and the logits of all
roles and exits as benchmarks/results/table3_<data>_<recipe>_seed<seed>_<network>.npz.
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
from endoexit.files import replacing, write_json
from endoexit.reporting.paper import PRINTED
from endoexit.reproduction.document import Results
from endoexit.runtime.session import open_session
from real_split import data_folder
from tables import RESULTS, ROOT

SPLIT = "groups"


def reproduce(arguments: argparse.Namespace, seed: int, folder: Path, until: float) -> bool:
    """Run the command for one seed; False when the time ran out."""
    line = [
        "reproduce", "kvasir", str(data_folder() / arguments.data), "--out", str(folder),
        "--split", SPLIT, "--recipe", arguments.recipe, "--seed", str(seed),
        "--accelerator", arguments.accelerator,
    ]  # fmt: skip
    for option in ("model", "weights", "epochs"):
        if (value := getattr(arguments, option)) is not None:
            line += [f"--{option}", str(value)]
    left = until - time.monotonic()
    print("$ endoexit", *line, flush=True)
    command = [str(Path(sys.executable).with_name("endoexit")), *line]
    try:
        subprocess.run(command, check=True, timeout=left if left < float("inf") else None)
    except subprocess.TimeoutExpired:
        return False
    return True


def keep_logits(run: Path, target: Path, device: str) -> None:
    """Write the logits and labels of every role into one file."""
    opened = open_run(run)
    arrays: dict[str, Any] = {}
    for role in opened.manifest().counts():
        kept = open_session(opened, device=device).logits(role)
        arrays |= {f"{role}_logits": kept.logits, f"{role}_labels": kept.labels}
    with replacing(target) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def summarise(results: dict[int, Results], command: str) -> dict[str, Any]:
    """Return the table of all seeds."""
    first = next(iter(results.values()))
    evaluations = [each.splits[0].evaluation for each in results.values()]
    rows = {}
    for paper in PRINTED:
        lines = [evaluation.row(paper.name) for evaluation in evaluations
                 if paper.name in {row.name for row in evaluation.rows}]  # fmt: skip
        if not lines:
            continue
        accuracies = [100 * (row.scores.accuracy.value or 0.0) for row in lines]
        rows[paper.name] = {
            "paper_percent": round(100 * paper.accuracy, 1),
            "accuracy_percent": [round(value, 2) for value in accuracies],
            "mean_percent": round(statistics.fmean(accuracies), 2),
            "intervals": [row.scores.accuracy.model_dump(mode="json") for row in lines],
            "beside_baseline": [
                row.beside_twin.model_dump(mode="json") if row.beside_twin else None
                for row in lines
            ],
            "parameters": lines[0].parameters,
            "macs": lines[0].macs,
        }
    return {
        "command": command,
        "recipe": first.settings.recipe,
        "training": first.settings.early.training.model_dump(mode="json"),
        "seeds": list(results),
        "rows": rows,
        "machine": first.machine,
        "versions": first.versions,
    }


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=["colonoscopy"], default="colonoscopy")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", help="default: that of the recipe, as of the command")
    parser.add_argument("--weights", help="default: that of the recipe, as of the command")
    parser.add_argument("--recipe", default="paper")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="gpu")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    name = f"table3_{arguments.data}_{Path(arguments.recipe).stem}"
    results = {}
    for seed in arguments.seeds:
        folder = ROOT / "runs" / name / f"seed{seed}"
        if not reproduce(arguments, seed, folder, until):
            raise SystemExit(f"{folder} is not complete: run the same command again to continue.")
        results[seed] = Results.read(folder / "results.json")
        device = "cuda" if arguments.accelerator == "gpu" else "cpu"
        for run in sorted((folder / "runs" / SPLIT).iterdir()):
            keep_logits(run, RESULTS / f"{name}_seed{seed}_{run.name}.npz", device)
    command = "python benchmarks/paper_table3.py " + " ".join(sys.argv[1:])
    summary = summarise(results, command)
    write_json(RESULTS / f"{name}.json", summary)
    for label, row in summary["rows"].items():
        print(
            f"{label:20} {row['mean_percent']:6.2f} %   (paper, Kvasir: {row['paper_percent']} %)"
        )


if __name__ == "__main__":
    main()
