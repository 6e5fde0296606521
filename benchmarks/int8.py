"""Measure what int8 loses and saves: trained runs in f32, int8, and int8 within a bound.

    python benchmarks/int8.py RUN [RUN ...] --trained RUN-int8 [RUN-int8 ...]

The runs are of one network, with several seeds. Accuracy is that of every exit, and under policies
that may lose up to a point on calibrate, on the images of test, as a mean over the runs; policies
are found again for each bundle on calibrate. Layers are put back to floating point on calibrate
too. The runs of `--trained` were trained for int8 (`endoexit train --quantise int8 --start RUN`).
Times of the final exit, one image at a time, are taken alternately with the bundles of the first
run, as ratios to f32. The result is kept under the name of the network, and the table of
docs/deploying.md is written again.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from endoexit.artifacts.bundle import Bundle, open_bundle
from endoexit.artifacts.run import Run, open_run
from endoexit.artifacts.source import LOGITS, MANIFEST, POLICY
from endoexit.bench.ratios import ratio_of
from endoexit.bench.subject import FINAL, exit_works
from endoexit.cli.console import progress
from endoexit.data.manifest import sidecar_path
from endoexit.errors import ModelError, counted
from endoexit.evaluation.fitting import exit_costs, find_run_policy
from endoexit.evaluation.latency import keeping_threads
from endoexit.evaluation.turns import take_turns
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.goal_options import make_goal
from endoexit.policy.table import outcome
from endoexit.runtime.session import Session, open_session
from tables import (
    RESULTS,
    ROOT,
    markdown_table,
    mean_and_range,
    replace_between,
    without_places,
)

RESULT = RESULTS / "int8.json"
PAGE = ROOT / "docs" / "deploying.md"
GOALS, BOUND = (0.0, 0.005, 0.01), 0.005  # accuracy that a policy, and int8, may lose

Variant = tuple[Path, ExportOptions]  # of the run, and how it is exported


def copied(path: Path, folder: Path) -> Run:
    """Return a copy of a run, without a policy."""
    if folder.exists():
        return open_run(folder)
    unwanted = shutil.ignore_patterns(LOGITS, "checkpoints", "tensorboard", POLICY)
    shutil.copytree(path, folder, ignore=unwanted)
    # The copy names its images by a path that holds elsewhere too.
    sidecar = sidecar_path(folder / MANIFEST)
    root = str(open_run(path).manifest().root.resolve())
    write_json(sidecar, read_json(sidecar) | {"root": root})
    return open_run(folder)


def accuracies(session: Session) -> dict[str, Any]:
    """Return the accuracy on test of every exit, and under the policy of each goal."""
    test, costs = session.logits("test").as_set(), exit_costs(session, "macs").values
    right = (test.logits.argmax(axis=2) == test.labels).mean(axis=1)
    policies = []
    for drop in GOALS:
        policy = find_run_policy(session, make_goal(max_accuracy_drop=drop)).policy
        policies.append(outcome(test, policy.assign(test.logits), costs).accuracy)
    return {"exits": _rounded(right), "policies": _rounded(policies)}


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(each), 4) for each in values]


def exported(run: Run, folder: Path, options: ExportOptions) -> Bundle:
    """Return the bundle of a run, exported unless it is in its folder already."""
    if folder.exists():
        return open_bundle(folder)
    return export_run(open_session(run, track=progress), folder, options).bundle


def variants_of(path: Path, trained: Path | None, *, bounded: bool) -> dict[str, Variant]:
    """Return what is exported of one run, by name."""
    plain = ExportOptions("openvino", "int8", accept_drop=True)
    variants = {"f32": (path, ExportOptions("openvino", "f32")), "int8": (path, plain)}
    if bounded:
        options = ExportOptions("openvino", "int8", max_drop=BOUND)
        variants["int8 within the bound"] = (path, options)
    if trained is not None:
        variants["int8, trained for it"] = (trained, plain)
    return variants


def sessions_of(
    variants: dict[str, Variant], work: Path, threads: int
) -> tuple[dict[str, tuple[Bundle, Session]], dict[str, str]]:
    """Return the bundles of one run, each at work, and why others were refused."""
    copies = {path: copied(path, work / path.name) for path, _ in variants.values()}
    at_work, refused = {}, {}
    for name, (path, options) in variants.items():
        folder = work / f"bundle-{name.replace(', ', '-').replace(' ', '-')}"
        try:
            bundle = exported(copies[path], folder, options)
        except ModelError as error:
            refused[name] = str(error)
            continue
        session = open_session(bundle, manifest=copies[path].manifest(), threads=threads)
        at_work[name] = bundle, session
    return at_work, refused


def timed(sessions: dict[str, Session], rounds: int) -> dict[str, dict[str, Any]]:
    """Return the time of the final exit of each variant, and its ratio to f32."""
    works = {}
    for name, session in sessions.items():
        works[name] = exit_works(session, session.images(session.manifest.cohort("test")))[FINAL]
    with progress("timing the final exit", rounds) as bar:
        times = take_turns(works, rounds, bar, untimed=1)
    rows = {}
    for name, values in times.items():
        ratio = ratio_of(name, values, "f32", times["f32"])
        rows[name] = {
            "milliseconds": round(float(np.median(values)), 3),
            "time_to_f32": {
                key: round(value, 3)
                for key, value in ratio.model_dump(include={"median", "low", "high"}).items()
            },
        }
    return rows


def measure(
    paths: list[Path], trained: list[Path], work: Path, *, bounded: bool, threads: int, rounds: int
) -> dict[str, Any]:
    """Return accuracies of each variant over all runs, layers in floating point, and times."""
    rows: dict[str, dict[str, Any]] = {}
    refusals: dict[str, str] = {}
    with keeping_threads():
        for path, taught in zip_longest(paths, trained):
            variants = variants_of(path, taught, bounded=bounded and path == paths[0])
            at_work, refused = sessions_of(variants, work / path.name, threads)
            refusals |= refused
            for name, (bundle, session) in at_work.items():
                row = rows.setdefault(name, {"runs": [], "precision": str(session.precision)})
                floats = len(bundle.config.float_layers)
                row["runs"].append({**accuracies(session), "float_layers": floats})
            if path == paths[0]:
                load, first = os.getloadavg()[0], at_work["f32"][1]
                times = timed({name: session for name, (_, session) in at_work.items()}, rounds)
    rows = {name: {**row, **times[name]} for name, row in rows.items()}
    epochs = open_run(trained[0]).config.recipe["epochs"] if trained else None
    return {
        "training": without_places(open_run(paths[0]).config.command),
        "size": first.preprocessing.size,
        "test_images": len(first.manifest.cohort("test")),
        "goals": list(GOALS),
        "bound": BOUND,
        "trained_epochs": epochs,
        "threads": threads,
        "rounds": rounds,
        "load": round(load, 1),
        "variants": rows,
        "refused": refusals,
    }


def page(document: dict[str, Any]) -> str:
    """Return the tables of all networks that were measured."""
    parts = []
    for network, part in document["networks"].items():
        parts.append(about(network, part))
        rows = []
        for name, row in part["variants"].items():
            ratio, runs = row["time_to_f32"], row["runs"]
            rows.append((
                f"{name} ({row['precision']})",
                *(mean_and_range([100 * each for each in of_exit])
                  for key in ("exits", "policies")
                  for of_exit in zip(*(run[key] for run in runs), strict=True)),
                f"{fmean(run['float_layers'] for run in runs):g}",
                f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]",
            ))  # fmt: skip
        exits = len(part["variants"]["f32"]["runs"][0]["exits"])
        columns = [*(f"exit {number}, %" for number in range(1, exits)), "final exit, %"]
        columns += [f"policy, {100 * drop:g} lost, %" for drop in part["goals"]]
        header = ("computes in", *columns, "layers in float", "time / f32")
        parts.append(markdown_table(header, rows))
    return "\n\n".join(parts)


def about(network: str, part: dict[str, Any]) -> str:
    """Return what the table of a network shows, in words."""
    seeds = len(part["variants"]["f32"]["runs"])
    words = [
        f"`{network}`, {part['size']}×{part['size']}, {counted(seeds, 'seed')}, "
        f"{part['test_images']} test images that chose nothing; {part['machine']['processor']}, "
        f"{counted(part['threads'], 'thread')}, load before the times {part['load']:g}."
    ]
    if seeds > 1:
        words.append("Accuracies are the mean over the seeds, with the lowest and the highest; "
                     "the time is that of the first seed.")  # fmt: skip
    if "int8 within the bound" in part["variants"]:
        words.append("Within the bound, which is measured with the first seed, layers "
                     f"go back to floating point until no exit loses more than {part['bound']:g} "
                     "on calibrate.")  # fmt: skip
    for name in part["refused"]:
        words.append(
            f"{name}: refused, because no mixture of layers loses at most {part['bound']:g} on "
            "calibrate."
        )
    if part["trained_epochs"] is not None:
        words.append(
            f"The last row was trained for int8 for {counted(part['trained_epochs'], 'epoch')}."
        )
    words.append("A policy may lose as many points of the final exit's accuracy on calibrate as "
                 "its column says; it is found again for each row.")  # fmt: skip
    return " ".join(words)


def main() -> None:
    """Measure, keep the result, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="runs of one network, of several seeds")
    parser.add_argument("--trained", type=Path, nargs="+", default=[],
                        help="the same runs, trained for int8")  # fmt: skip
    parser.add_argument("--without-bound", action="store_true",
                        help="leave out the variant within the bound: it takes long")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--work", type=Path, help="keep copies and bundles there, and use them")
    arguments = parser.parse_args()
    if arguments.trained and len(arguments.trained) != len(arguments.runs):
        parser.error("--trained takes one run for each of the runs")
    with tempfile.TemporaryDirectory() as temporary:
        measured = measure(
            arguments.runs,
            arguments.trained,
            arguments.work or Path(temporary),
            bounded=not arguments.without_bound,
            threads=arguments.threads,
            rounds=arguments.rounds,
        )
    where = {"machine": describe_machine(), "versions": library_versions()}
    document = read_json(RESULT) if RESULT.is_file() else {"networks": {}}
    document["networks"][open_run(arguments.runs[0]).config.model] = where | measured
    write_json(RESULT, document)
    replace_between(PAGE, "int8", page(document))


if __name__ == "__main__":
    main()
