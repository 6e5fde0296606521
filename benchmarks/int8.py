"""Measure what int8 loses and saves: a trained run in f32, int8, and int8 within a bound.

    python benchmarks/int8.py RUN --trained RUN-int8

Accuracy is that of every exit, and under the policy, on the images of test; the policy is found
again for each bundle on calibrate. Layers are put back to floating point on calibrate too. The
second run was trained for int8 (`endoexit train --quantise int8 --start RUN`). Times of the final
exit, one image at a time, are taken alternately, as ratios to f32. The result is kept under the
name of the network, and the table of docs/deploying.md is written again.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.bundle import Bundle, open_bundle
from endoexit.artifacts.run import Run, open_run
from endoexit.artifacts.source import LOGITS, MANIFEST, POLICY
from endoexit.bench.ratios import ratio_of
from endoexit.bench.subject import FINAL, exit_works
from endoexit.cli.console import progress
from endoexit.data.manifest import sidecar_path
from endoexit.errors import counted
from endoexit.evaluation.fitting import calibrate_run
from endoexit.evaluation.latency import keeping_threads
from endoexit.evaluation.turns import take_turns
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.goal_options import make_goal
from endoexit.runtime.session import Session, open_session
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "int8.json"
PAGE = ROOT / "docs" / "deploying.md"
GOAL, BOUND = 0.01, 0.005


def copied(path: Path, folder: Path) -> Run:
    """Return a copy of a run, with a policy that keeps accuracy."""
    if folder.exists():
        return open_run(folder)
    unwanted = shutil.ignore_patterns(LOGITS, "checkpoints", "tensorboard", POLICY)
    shutil.copytree(path, folder, ignore=unwanted)
    # The copy names its images by a path that holds elsewhere too.
    sidecar = sidecar_path(folder / MANIFEST)
    root = str(open_run(path).manifest().root.resolve())
    write_json(sidecar, read_json(sidecar) | {"root": root})
    run = open_run(folder)
    calibrate_run(open_session(run, track=progress), make_goal(max_accuracy_drop=GOAL))
    return run


def accuracies(session: Session) -> dict[str, Any]:
    """Return the accuracy on test of every exit and under the policy."""
    logits = session.logits("test")
    images = session.images(session.manifest.cohort("test"))
    answers = [session.engine.predict(images[row : row + 1])[0] for row in range(len(images))]
    right = (logits.logits.argmax(axis=2) == logits.labels).mean(axis=1)
    policy = np.mean([answer.label for answer in answers] == logits.labels)
    return {"exits": [round(float(each), 4) for each in right], "policy": round(float(policy), 4)}


def exported(run: Run, folder: Path, options: ExportOptions) -> Bundle:
    """Return the bundle of a run, exported unless it is in its folder already."""
    if folder.exists():
        return open_bundle(folder)
    return export_run(open_session(run, track=progress), folder, options).bundle


def measure(
    path: Path, trained: Path | None, work: Path, *, bounded: bool, threads: int, rounds: int
) -> dict[str, Any]:
    """Return accuracies of each variant, the layers left in floating point, and times."""
    plain = ExportOptions("openvino", "int8", accept_drop=True)
    variants = {
        "f32": (path, ExportOptions("openvino", "f32")),
        "int8": (path, plain),
    }
    if bounded:
        options = ExportOptions("openvino", "int8", max_drop=BOUND)
        variants["int8 within the bound"] = (path, options)
    if trained is not None:
        variants["int8, trained for it"] = (trained, plain)
    with keeping_threads():
        paths = dict.fromkeys(each for each, _ in variants.values())
        runs = {each: copied(each, work / each.name) for each in paths}
        rows, works = {}, {}
        for name, (each, options) in variants.items():
            run = runs[each]
            bundle = exported(
                run, work / f"bundle-{name.replace(', ', '-').replace(' ', '-')}", options
            )
            session = open_session(bundle, manifest=run.manifest(), threads=threads)
            rows[name] = accuracies(session) | {
                "precision": str(session.precision),
                "float_layers": list(bundle.config.float_layers),
            }
            images = session.images(session.manifest.cohort("test"))
            works[name] = exit_works(session, images)[FINAL]
        load = os.getloadavg()[0]
        with progress("timing the final exit", rounds) as bar:
            times = take_turns(works, rounds, bar, untimed=1)
        for name, values in times.items():
            rows[name]["milliseconds"] = round(float(np.median(values)), 3)
            ratio = ratio_of(name, values, "f32", times["f32"])
            rows[name]["time_to_f32"] = {
                key: round(value, 3)
                for key, value in ratio.model_dump(include={"median", "low", "high"}).items()
            }
        source = next(iter(runs.values()))
        return {
            "size": source.config.preprocessing.size,
            "test_images": len(source.manifest().cohort("test")),
            "goal": f"accuracy on calibrate at most {GOAL:g} below that of the final exit",
            "bound": BOUND,
            "trained_epochs": None if trained is None else runs[trained].config.recipe["epochs"],
            "threads": threads,
            "rounds": rounds,
            "load": round(load, 1),
            "variants": rows,
        }


def page(document: dict[str, Any]) -> str:
    """Return the tables of all networks that were measured."""
    parts = []
    for network, part in document["networks"].items():
        machine = part["machine"]
        count, epochs, bound = part.get("trained_epochs"), "", ""
        if count is not None:
            epochs = f"It was trained for int8 for {counted(count, 'epoch')}. "
        if "int8 within the bound" in part["variants"]:
            bound = (
                "Layers go back to floating point until no exit loses more than "
                f"{part['bound']:g} on calibrate. "
            )
        parts.append(
            f"`{network}`, {part['size']}×{part['size']}, {part['test_images']} test images that "
            f"chose nothing; {machine['processor']}, "
            f"{counted(part['threads'], 'thread')}, load before the "
            f"times {part['load']:g}. {bound}{epochs}The policy allows {part['goal']}."
        )
        rows = []
        for name, row in part["variants"].items():
            ratio = row["time_to_f32"]
            rows.append((
                f"{name} ({row['precision']})",
                *(f"{100 * each:.1f}" for each in row["exits"]),
                f"{100 * row['policy']:.1f}",
                str(len(row["float_layers"])),
                f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]",
            ))  # fmt: skip
        exits = len(next(iter(part["variants"].values()))["exits"])
        columns = [*(f"exit {number}, %" for number in range(1, exits)), "final exit, %"]
        header = ("computes in", *columns, "policy, %", "layers in float", "time / f32")
        parts.append(markdown_table(header, rows))
    return "\n\n".join(parts)


def main() -> None:
    """Measure, keep the result, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--trained", type=Path, help="the same run, trained for int8")
    parser.add_argument("--without-bound", action="store_true",
                        help="leave out the variant within the bound: it takes long")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--work", type=Path, help="keep copies and bundles there, and use them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measured = measure(
            arguments.run,
            arguments.trained,
            arguments.work or Path(temporary),
            bounded=not arguments.without_bound,
            threads=arguments.threads,
            rounds=arguments.rounds,
        )
    about = {"machine": describe_machine(), "versions": library_versions()}
    document = read_json(RESULT) if RESULT.is_file() else {"networks": {}}
    document["networks"][open_run(arguments.run).config.model] = about | measured
    write_json(RESULT, document)
    replace_between(PAGE, "int8", page(document))


if __name__ == "__main__":
    main()
