"""The exit heads of the catalog on colonoscopy images: accuracy and cost of each exit.

    python benchmarks/heads.py                               every head, seed 0
    python benchmarks/heads.py --heads conv sdn --seeds 0 1 2    more seeds of some
    python benchmarks/heads.py --heads rdi,conv,conv             one for each exit
    python benchmarks/heads.py --heads rdi,conv,conv --exits blocks.2,blocks.5.0,blocks.5 \
        --seeds 0 1 2                                        other places
    python benchmarks/heads.py --table-only                  the page from the last results

Fine-tunes EfficientNet-Lite0 from ImageNet weights with exits behind its groups 3, 5 and 6, or
where `--exits` says; heads and places have a table each in docs/networks.md. What is finished is
not done again; an interrupted training continues where it stopped. Results are added to
benchmarks/results/heads.json. A head or a place is chosen by the images of val and calibrate, which
trained nothing; test only reports.
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
NETWORK = ("--model", "efficientnet_lite0", "--weights", "pip:lite0", "--recipe", "fine-tune")
GROUPS = "3,5,6"  # the places at which heads are compared
COMPARED = "rdi,conv,conv"  # the head with which places are compared
EXITS = ("exit 1", "exit 2", "exit 3", "final")


def measure(run: Path, head: str, exits: str, seed: int) -> dict[str, Any]:
    """Return accuracy on test, parameters and multiply-adds of each exit."""
    by_name = {row.name: row for row in evaluate(run, timing=False).evaluation.rows}
    rows = [by_name[name] for name in EXITS]
    return {
        "head": head,
        "exits": exits,
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


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table of all heads, the most accurate on val and calibrate first."""
    at_groups = [row for row in rows if row["exits"] == GROUPS]
    return _table("head", at_groups) + (
        "\n\nAccuracy in percent: mean over the seeds, and from the smallest to the largest. "
        "The exits are on the test images. `known` is the mean of all exits on the images of val "
        "and calibrate, by which a head is chosen. EfficientNet-Lite0 at 128×128 on colonoscopy "
        "with exits behind groups 3, 5 and 6, recipe `fine-tune`. Made by "
        "`python benchmarks/heads.py`."
    )


def places_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of the places of exits."""
    compared = [row for row in rows if row["head"] == COMPARED]
    others = next(row["exits"] for row in compared if row["exits"] != GROUPS)
    return _table("exits", compared) + (
        "\n\nAccuracy in percent: mean over the seeds, and from the smallest to the largest. The "
        "exits are on the test images of colonoscopy. `known` is the mean of all exits on the "
        "images of val and calibrate, the next column exit 2 alone: by these a place is chosen. "
        f"EfficientNet-Lite0 at 128×128, heads `{COMPARED}`, recipe `fine-tune`. Made by "
        f"`python benchmarks/heads.py --heads {COMPARED} --exits {others} --seeds 0 1 2`."
    )


def _table(by: str, rows: list[dict[str, Any]]) -> str:
    of: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault(row[by], []).append(row)
    order = sorted(of, key=lambda name: -statistics.fmean(map(mean_known, of[name])))
    lines = []
    for name in order:
        rows = of[name]
        cells = [
            mean_and_range([100 * row["accuracy"][k] for row in rows]) for k in range(len(EXITS))
        ]
        known = [mean_and_range([100 * mean_known(row) for row in rows])]
        if by == "exits":
            known.append(mean_and_range([100 * row["accuracy_known"][1] for row in rows]))
        macs = " / ".join(f"{rows[0]['macs'][k] / 1e9:.3f}" for k in range(len(EXITS)))
        size = f"{rows[0]['parameters'] / 1e6:.2f}"
        lines.append([f"`{name}`", *known, *cells, macs, size, str(len(rows))])
    more = ["`known`, exit 2"] if by == "exits" else []
    header = [by, "`known`", *more, *EXITS, "multiply-adds, G", "parameters, M", "seeds"]
    return markdown_table(header, lines)


def mean_known(row: dict[str, Any]) -> float:
    """Return the mean accuracy of a run's exits on val and calibrate."""
    return statistics.fmean(row["accuracy_known"])


def main() -> None:
    """Train, measure, and write results and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", nargs="+", default=list(HEADS))
    parser.add_argument("--exits", default=GROUPS, help="layers with an exit behind them")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "heads")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table-only", action="store_true")
    arguments = parser.parse_args()
    rows = read_json(RESULT)["rows"] if RESULT.is_file() else []
    if not arguments.table_only:
        manifest = arguments.runs / "colonoscopy.csv"
        make_manifest("colonoscopy", manifest, certify=False)
        exits = arguments.exits
        at = "" if exits == GROUPS else f"-at-{exits.replace(',', '-')}"
        for seed in arguments.seeds:
            for head in arguments.heads:
                run = arguments.runs / f"{head.replace(',', '-')}{at}-seed{seed}"
                train(manifest, [*NETWORK, "--exits", exits, "--head", head], seed, run,
                      "--threads", arguments.threads)  # fmt: skip
                new = measure(run, head, exits, seed)
                same = ("head", "exits", "seed")
                rows = [row for row in rows if any(row[key] != new[key] for key in same)] + [new]
                write_json(RESULT, {"rows": rows, "machine": describe_machine(),
                                    "versions": library_versions()})  # fmt: skip
    replace_between(PAGE, "heads", table(rows))
    replace_between(PAGE, "exits", places_table(rows))


if __name__ == "__main__":
    main()
