"""The study on real images: audit, split, train with and without exits, evaluate, report.

    python benchmarks/real.py                           every study of benchmarks/real_studies.py
    python benchmarks/real.py otoscopy_fine_tuned       one of them
    python benchmarks/real.py --only-report             write results and tables from finished runs

What is finished is not done again; an interrupted training continues where it stopped. Results go
to benchmarks/results/real_<study>.json, the tables into README.md. Takes hours on 2 cores; a result
holds the minutes of its trainings.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endoexit.artifacts.run import open_run
from endoexit.errors import counted
from endoexit.evaluation.document import Evaluation
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from real_split import data_folder, make_manifest
from real_studies import BITS, STUDIES, THRESHOLD, Study
from tables import RESULTS, ROOT, markdown_table, replace_between, without_places


def endoexit(*arguments: object) -> None:
    """Run one command of the package, shown as a user would type it."""
    line = ["endoexit", *map(str, arguments)]
    print("$", " ".join(line), flush=True)
    subprocess.run([str(Path(sys.executable).with_name(line[0])), *line[1:]], check=True)


def train(manifest: Path, what: Sequence[str], seed: int, path: Path, *threads: object) -> None:
    """Train a run on a data set, continue it, or leave it as it is."""
    if not (path / "config.json").is_file():
        endoexit("train", manifest, *what, "--seed", seed, "--out", path, *threads)
    elif not open_run(path).is_complete:
        endoexit("train", "--resume", path, *threads)


def runs_of(study: Study, folder: Path) -> dict[int, tuple[Path, Path]]:
    """Return the run with exits and the one without of every seed."""
    with_exits, whole = (folder / study.data / name for name in study.folders)
    return {
        seed: (
            with_exits.with_name(f"{with_exits.name}-seed{seed}"),
            whole.with_name(f"{whole.name}-seed{seed}"),
        )
        for seed in study.seeds
    }


def carry_out(study: Study, folder: Path, threads: Sequence[object]) -> None:
    """Audit, split, train and evaluate."""
    name = study.data
    data, manifest = data_folder() / name, folder / f"{study.name}.csv"
    folds = ["--folds", data / "folds.csv"] if (data / "folds.csv").is_file() else []
    written = [
        "--out",
        folder / f"{name}-audit.json",
        "--groups-out",
        folder / f"{name}-groups.csv",
    ]
    endoexit("audit", data, "--near-bits", BITS[name], *folds, *written)
    make_manifest(name, manifest, certify=study.certify)
    for seed, (run, twin) in runs_of(study, folder).items():
        train(manifest, study.train, seed, run, *threads)
        against: list[object] = []
        if study.twin:
            train(manifest, study.twin, seed, twin, *threads)
            against = ["--against", twin]
        if study.goal:
            endoexit("calibrate", run, *study.goal)
            endoexit("evaluate", run, *against)
        else:
            endoexit("evaluate", run, "--threshold", THRESHOLD, *against)


def summarise(study: Study, folder: Path) -> dict[str, Any]:
    """Return what a study showed, from the evaluations of the seeds that are finished."""
    runs = {seed: run for seed, (run, _) in runs_of(study, folder).items()}
    runs = {seed: run for seed, run in runs.items() if (run / "evaluation.json").is_file()}
    if not runs:
        raise SystemExit(
            f"no run of {study.name} in {folder} is evaluated: run "
            f"python benchmarks/real.py {study.name}"
        )
    seeds = []
    evaluations = {
        seed: Evaluation.model_validate(read_json(run / "evaluation.json"))
        for seed, run in runs.items()
    }
    for seed, evaluation in evaluations.items():
        seeds.append(
            {
                "seed": seed,
                "training": training_facts(runs[seed]),
                "rows": {
                    row.name: row.model_dump(mode="json", exclude={"predicted", "confidence"})
                    for row in evaluation.rows
                },
                "shares": evaluation.adaptive.shares if evaluation.adaptive else None,
            }
        )
    first = next(iter(evaluations.values()))
    return {
        "data": study.data,
        "study": study.name,
        "command": f"python benchmarks/real.py {study.name}",
        "seeds_planned": len(study.seeds),
        "test_images": len(first.images.paths),
        "manifest_sha256": first.manifest_sha256,
        "rule": study.rule,
        "timing": first.timing.model_dump(mode="json") if first.timing else None,
        "prototype_percent": dict(study.prototype),
        "mean_accuracy_percent": {
            row: round(statistics.fmean(map(accuracy, rows_of(seeds, row))), 2)
            for row in (*exits_of(seeds), "twin", "adaptive")
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
        "command": without_places(config.command.partition(" --out ")[0]),
        "recipe": config.recipe,
        "precision": config.training_precision,
        "epochs": len(lines) - 1,
        "minutes": round(sum(float(line.split(",")[column]) for line in lines[1:]) / 60, 1),
        "machine": config.machine,
    }


def rows_of(seeds: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return one row of every seed that has it: a twin may not be trained yet."""
    return [seed["rows"][name] for seed in seeds if name in seed["rows"]]


def exits_of(seeds: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the rows of single exits."""
    return [name for name, row in seeds[0]["rows"].items() if row["kind"] == "exit"]


def accuracy(row: dict[str, Any]) -> float:
    """Return a row's accuracy in percent."""
    return 100 * float(row["scores"]["accuracy"]["value"])


def report(names: Sequence[str], folder: Path) -> None:
    """Write the results and the README's tables."""
    for name in names:
        write_json(RESULTS / f"real_{name}.json", summarise(STUDIES[name], folder))
    write_tables()


def write_tables() -> None:
    """Write the README's tables from the results that are there."""
    parts = []
    for study in STUDIES.values():
        if (file := RESULTS / f"real_{study.name}.json").is_file():
            parts.append(table(study, read_json(file)))
    replace_between(ROOT / "README.md", "real", "\n\n".join(parts))
    print("\n\n".join(parts))


def table(study: Study, result: dict[str, Any]) -> str:
    """Return the table of one study in Markdown."""
    seeds, mean = result["seeds"], result["mean_accuracy_percent"]
    names = {"twin": "the same network without early exits", **{e: e for e in exits_of(seeds)},
             "adaptive": f"adaptive ({study.rule})"}  # fmt: skip
    rows = []
    for key, label in names.items():
        rows_of_seeds = rows_of(seeds, key)
        if not rows_of_seeds:
            continue
        each = ", ".join(f"{accuracy(row):.1f}" for row in rows_of_seeds)
        prototype = result["prototype_percent"].get(key)
        macs = statistics.fmean(row["macs"] for row in rows_of_seeds) / 1e9
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
    size = facts["recipe"]["image"]["size"]
    planned = result["seeds_planned"]
    count = f"{len(seeds)} of {planned} seeds" if len(seeds) < planned else counted(planned, "seed")
    exits = facts["recipe"]["model"].get("exits")
    cut = f", `--exits {exits}`" if exits else ""
    return markdown_table(header, rows) + (
        f"\n\n`{study.model}` at {size}×{size}, recipe `{study.recipe}`{cut}, "
        f"{facts['epochs']} epochs, {count}, {facts['precision']}. Made by `{result['command']}`."
    )


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*STUDIES, []], help="default: all")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "real")
    parser.add_argument("--threads", type=int, help="of each training; default: all cores")
    parser.add_argument("--only-report", action="store_true")
    parser.add_argument("--table-only", action="store_true", help="from the committed results")
    arguments = parser.parse_args()
    if arguments.table_only:
        write_tables()
        return
    names = arguments.names or list(STUDIES)
    threads = ["--threads", arguments.threads] if arguments.threads else []
    if not arguments.only_report:
        for name in names:
            carry_out(STUDIES[name], arguments.runs, threads)
    report(names, arguments.runs)


if __name__ == "__main__":
    main()
