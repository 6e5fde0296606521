"""The exit heads of the catalog on colonoscopy images: accuracy and cost of each exit.

    python benchmarks/heads.py                               every head, seed 0
    python benchmarks/heads.py --heads conv sdn --seeds 0 1 2    more seeds of some
    python benchmarks/heads.py --heads rdi,conv,conv             one for each exit
    python benchmarks/heads.py --table-only                  the page from the last results

Fine-tunes EfficientNet-Lite0 from ImageNet weights with exits behind its groups 3, 5 and 6. What is
finished is not done again; an interrupted training continues where it stopped. Results are added to
benchmarks/results/heads.json, the table goes into docs/networks.md. A head is chosen by the images
of val and calibrate, which trained nothing; test only reports.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import open_run
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.models.exit_heads import HEADS
from endoexit.runtime.session import open_session
from endoexit.workflow.evaluate import evaluate
from real import train
from real_split import make_manifest
from tables import (
    RESULTS,
    ROOT,
    markdown_table,
    mean_and_range,
    replace_between,
    without_places,
)

PAGE, RESULT = ROOT / "docs" / "networks.md", RESULTS / "heads.json"
NETWORK = ("--model", "efficientnet_lite0", "--weights", "pip:lite0", "--recipe", "fine-tune",
           "--exits", "3,5,6")  # fmt: skip
EXITS = ("exit 1", "exit 2", "exit 3", "final")


def measure(run: Path, head: str, seed: int) -> dict[str, Any]:
    """Return accuracy on test, parameters and multiply-adds of each exit."""
    by_name = {row.name: row for row in evaluate(run, timing=False).evaluation.rows}
    rows = [by_name[name] for name in EXITS]
    return {
        "head": head,
        "seed": seed,
        "accuracy": [row.scores.accuracy.value for row in rows],
        "accuracy_known": accuracy_known(run),
        "macs": [row.macs for row in rows],
        "parameters": rows[-1].parameters,
        "command": without_places(open_run(run).config.command.partition(" --out ")[0]),
    }


def accuracy_known(run: Path) -> list[float]:
    """Return the accuracy of each exit on the images of val and calibrate."""
    session = open_session(run)
    right = []
    for role in ("val", "calibrate"):
        answers = session.logits(role).as_set()
        right.append(answers.logits.argmax(axis=2) == answers.labels)
    return np.concatenate(right, axis=1).mean(axis=1).tolist()


def table(result: dict[str, Any]) -> str:
    """Return the table of all heads, the most accurate on val and calibrate first."""
    of: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        of.setdefault(row["head"], []).append(row)
    order = sorted(of, key=lambda name: -statistics.fmean(map(mean_known, of[name])))
    lines = []
    for name in order:
        rows = of[name]
        cells = [
            mean_and_range([100 * row["accuracy"][k] for row in rows]) for k in range(len(EXITS))
        ]
        known = mean_and_range([100 * mean_known(row) for row in rows])
        macs = " / ".join(f"{rows[0]['macs'][k] / 1e9:.3f}" for k in range(len(EXITS)))
        size = f"{rows[0]['parameters'] / 1e6:.2f}"
        lines.append([f"`{name}`", known, *cells, macs, size, str(len(rows))])
    header = ["head", "`known`", *EXITS, "multiply-adds, G", "parameters, M", "seeds"]
    return (
        markdown_table(header, lines)
        + "\n\nAccuracy in percent: mean over the seeds, and from the smallest to the largest. "
        "The exits are on the test images. `known` is the mean of all exits on the images of val "
        "and calibrate, by which a head is chosen. EfficientNet-Lite0 at 128×128 on colonoscopy "
        "with exits behind groups 3, 5 and 6, recipe `fine-tune`. Made by "
        "`python benchmarks/heads.py`."
    )


def mean_known(row: dict[str, Any]) -> float:
    """Return the mean accuracy of a run's exits on val and calibrate."""
    return statistics.fmean(row["accuracy_known"])


def main() -> None:
    """Train, measure, and write results and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", nargs="+", default=list(HEADS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "heads")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table-only", action="store_true")
    arguments = parser.parse_args()
    rows = read_json(RESULT)["rows"] if RESULT.is_file() else []
    if not arguments.table_only:
        manifest = arguments.runs / "colonoscopy.csv"
        make_manifest("colonoscopy", manifest, certify=False)
        for seed in arguments.seeds:
            for head in arguments.heads:
                run = arguments.runs / f"{head.replace(',', '-')}-seed{seed}"
                train(manifest, [*NETWORK, "--head", head], seed, run,
                      "--threads", arguments.threads)  # fmt: skip
                rows = [row for row in rows if (row["head"], row["seed"]) != (head, seed)]
                rows.append(measure(run, head, seed))
                write_json(RESULT, {"rows": rows, "machine": describe_machine(),
                                    "versions": library_versions()})  # fmt: skip
    replace_between(PAGE, "heads", table({"rows": rows}))


if __name__ == "__main__":
    main()
