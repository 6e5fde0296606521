"""The study on real images: audit, split, train with and without exits, evaluate, report.

    python benchmarks/real.py                     both data sets, everything
    python benchmarks/real.py otoscopy            one of them
    python benchmarks/real.py --only-report       write results and tables from finished runs

What is finished is not done again; an interrupted training goes on where it was. Results go to
benchmarks/results/real_<data set>.json, the tables into README.md. Takes hours on
2 cores; a result holds the minutes of its trainings.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endoexit.artifacts.run import open_run
from endoexit.evaluation.document import Evaluation
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from real_split import data_folder, make_manifest
from tables import RESULTS, ROOT, markdown_table, replace_between

MODEL, TWIN, RECIPE = "ee_hifuse_nano", "hifuse_nano", "small-data"
SEEDS = {"colonoscopy": (0, 1), "otoscopy": (0, 1, 2)}
# What fits into an hour of two cores; the recipe's own number is for half an hour of one.
CHANGES = {"colonoscopy": ("--set", "epochs=72"), "otoscopy": ()}
BITS = {"colonoscopy": 15, "otoscopy": 30}
EXITS = ("exit 1", "exit 2", "exit 3", "final")
# Plain prototypes of the same network on the same test images, one seed: what to be better than.
PROTOTYPE = {
    "colonoscopy": {"exit 1": 68.0, "exit 2": 78.4, "exit 3": 77.5, "final": 82.4, "twin": 82.4},
    "otoscopy": {"exit 1": 94.4, "exit 2": 98.4, "exit 3": 96.8, "final": 94.4},
}
THRESHOLD = "0.9"


def endoexit(*arguments: object) -> None:
    """Run one command of the package, shown as a user would type it."""
    line = ["endoexit", *map(str, arguments)]
    print("$", " ".join(line), flush=True)
    subprocess.run([str(Path(sys.executable).with_name(line[0])), *line[1:]], check=True)


def train(name: str, manifest: Path, model: str, seed: int, path: Path, *threads: object) -> None:
    """Train a run on a data set, go on with it, or leave it as it is."""
    if not (path / "config.json").is_file():
        endoexit("train", manifest, "--model", model, "--recipe", RECIPE, *CHANGES[name],
                 "--seed", seed, "--out", path, *threads)  # fmt: skip
    elif not open_run(path).is_complete:
        endoexit("train", "--resume", path, *threads)


def study(name: str, folder: Path, threads: Sequence[object]) -> None:
    """Audit, split, train and evaluate one data set."""
    data, manifest = data_folder() / name, folder / f"{name}.csv"
    folds = ["--folds", data / "folds.csv"] if (data / "folds.csv").is_file() else []
    written = [
        "--out",
        folder / f"{name}-audit.json",
        "--groups-out",
        folder / f"{name}-groups.csv",
    ]
    endoexit("audit", data, "--near-bits", BITS[name], *folds, *written)
    make_manifest(name, manifest)
    for seed in SEEDS[name]:
        run, twin = (folder / name / f"{model}-seed{seed}" for model in (MODEL, TWIN))
        for model, path in ((MODEL, run), (TWIN, twin)):
            train(name, manifest, model, seed, path, *threads)
        endoexit("evaluate", run, "--threshold", THRESHOLD, "--against", twin)


def summarise(name: str, folder: Path) -> dict[str, Any]:
    """Return what one data set showed, from the evaluations of the seeds that are finished."""
    runs = {seed: folder / name / f"{MODEL}-seed{seed}" for seed in SEEDS[name]}
    runs = {seed: run for seed, run in runs.items() if (run / "evaluation.json").is_file()}
    if not runs:
        raise SystemExit(f"no run in {folder / name} is evaluated: run benchmarks/real.py {name}")
    seeds = []
    for seed, run in runs.items():
        found = Evaluation.model_validate(read_json(run / "evaluation.json"))
        seeds.append(
            {
                "seed": seed,
                "training": training_facts(run),
                "rows": {
                    row.name: row.model_dump(mode="json", exclude={"predicted", "confidence"})
                    for row in found.rows
                },
                "shares": found.adaptive.shares if found.adaptive else None,
            }
        )
    first = Evaluation.model_validate(read_json(next(iter(runs.values())) / "evaluation.json"))
    return {
        "data": name,
        "command": f"python benchmarks/real.py {name}",
        "seeds_planned": len(SEEDS[name]),
        "test_images": len(first.images.paths),
        "manifest_sha256": first.manifest_sha256,
        "threshold": float(THRESHOLD),
        "timing": first.timing.model_dump(mode="json") if first.timing else None,
        "prototype_percent": PROTOTYPE[name],
        "mean_accuracy_percent": {
            row: round(statistics.fmean(map(accuracy, rows_of(seeds, row))), 2)
            for row in (*EXITS, "twin", "adaptive")
            if rows_of(seeds, row)
        },
        "seeds": seeds,
        "machine": describe_machine(),
        "versions": library_versions(),
    }


def training_facts(run: Path) -> dict[str, Any]:
    """Return how a run was trained."""
    config = open_run(run).config
    lines = (run / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("seconds")
    return {
        "command": config.command,
        "recipe": config.recipe,
        "precision": config.training_precision,
        "epochs": len(lines) - 1,
        "minutes": round(sum(float(line.split(",")[column]) for line in lines[1:]) / 60, 1),
        "machine": config.machine,
    }


def rows_of(seeds: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return one row of every seed that has it: a twin may not be trained yet."""
    return [seed["rows"][name] for seed in seeds if name in seed["rows"]]


def accuracy(row: dict[str, Any]) -> float:
    """Return a row's accuracy in percent."""
    return 100 * float(row["scores"]["accuracy"]["value"])


def report(names: Sequence[str], folder: Path) -> None:
    """Write the results and the README's tables."""
    for name in names:
        write_json(RESULTS / f"real_{name}.json", summarise(name, folder))
    write_tables()


def write_tables() -> None:
    """Write the README's tables from the results that are there."""
    written = [path for n in SEEDS if (path := RESULTS / f"real_{n}.json").is_file()]
    parts = [table(read_json(path)) for path in written]
    replace_between(ROOT / "README.md", "real", "\n\n".join(parts))
    print("\n\n".join(parts))


def table(result: dict[str, Any]) -> str:
    """Return one data set's table in Markdown."""
    seeds, mean = result["seeds"], result["mean_accuracy_percent"]
    names = {"twin": "the same network without early exits", **{e: e for e in EXITS},
             "adaptive": f"adaptive (threshold {result['threshold']:g})"}  # fmt: skip
    rows = []
    for key, label in names.items():
        own = rows_of(seeds, key)
        if not own:
            continue
        each = ", ".join(f"{accuracy(row):.1f}" for row in own)
        prototype = result["prototype_percent"].get(key)
        macs = statistics.fmean(row["macs"] for row in own) / 1e9
        rows.append(
            (
                label,
                f"{mean[key]:.1f}",
                each,
                f"{prototype:.1f}" if prototype else "–",
                f"{macs:.3f}",
            )
        )
    header = (f"{result['data']}, {result['test_images']} test images", "accuracy, mean, %",
              "of each seed", "plain prototype", "GMACs an image")  # fmt: skip
    facts = seeds[0]["training"]
    planned = result["seeds_planned"]
    count = f"{len(seeds)} seeds" if len(seeds) == planned else f"{len(seeds)} of {planned} seeds"
    return markdown_table(header, rows) + (
        f"\n\n`{MODEL}` at {facts['recipe']['image']['size']}×{facts['recipe']['image']['size']}, "
        f"recipe `{RECIPE}`, {facts['epochs']} epochs, {count}, {facts['precision']}. "
        f"Made by `{result['command']}`."
    )


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*SEEDS, []], help="default: both")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "real")
    parser.add_argument("--threads", type=int, help="of each training; default: all cores")
    parser.add_argument("--only-report", action="store_true")
    parser.add_argument("--table-only", action="store_true", help="from the committed results")
    arguments = parser.parse_args()
    if arguments.table_only:
        write_tables()
        return
    names = arguments.names or list(SEEDS)
    threads = ["--threads", arguments.threads] if arguments.threads else []
    if not arguments.only_report:
        for name in names:
            study(name, arguments.runs, threads)
    report(names, arguments.runs)


if __name__ == "__main__":
    main()
