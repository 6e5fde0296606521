"""The front: accuracy on test against measured time, with and without early exits.

    python benchmarks/front.py train                 train what is missing, every candidate and seed
    python benchmarks/front.py train lite0-128 --seeds 0
    python benchmarks/front.py measure               export, time and compare what is trained
    python benchmarks/front.py pages                 the table and the figure from the results

Candidates are in front_networks.py, on the colonoscopy images of `real.py`. Trainings take minutes
to an hour each on two cores; what is finished is not trained again. All times come from one process
in which all take turns, one image at a time. Policies are found on calibrate, never on test.
Results go to benchmarks/results/front.json, the table and the figure into docs/front.md.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import front_pages
from endoexit.artifacts.run import open_run
from endoexit.cli.console import progress
from endoexit.errors import EndoexitError
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, usable_cores
from endoexit.runtime.session import Session, open_session
from front_measure import measure
from front_networks import CANDIDATES, SEEDS, Candidate
from real import endoexit, train
from real_split import make_manifest
from runtime_networks import export_once
from tables import RESULTS, ROOT

OUT = RESULTS / "front.json"
PRECISIONS = ("f32", "int8")


def run_folder(folder: Path, name: str, seed: int) -> Path:
    """Return the run folder of a candidate."""
    return folder / "colonoscopy" / f"{name}-seed{seed}"


def train_one(
    candidate: Candidate, folder: Path, manifest: Path, seed: int, threads: list[str]
) -> None:
    """Train a candidate and what it needs, unless that is done."""
    path = run_folder(folder, candidate.name, seed)
    needed = [*candidate.members, *filter(None, [candidate.teacher])]
    for name in needed:
        train_one(CANDIDATES[name], folder, manifest, seed, threads)
    if candidate.members:
        if not (path / "config.json").is_file():
            members = [run_folder(folder, name, seed) for name in candidate.members]
            endoexit("cascade", *members, "--combine", candidate.combine, "--out", path)
        return
    teacher = (
        ["--teacher", str(run_folder(folder, candidate.teacher, seed))] if candidate.teacher else []
    )
    train(manifest, [*candidate.train, *teacher], seed, path, *threads)


def is_trained(path: Path) -> bool:
    """Whether a run folder holds a finished training, or a cascade."""
    try:
        return open_run(path).is_complete
    except EndoexitError:
        return False


def open_bundles(
    folder: Path, precisions: Sequence[str], threads: int
) -> dict[tuple[str, str, int], Session]:
    """Export what is trained; return its bundles by candidate, precision and seed."""
    bundles = {}
    for name in CANDIDATES:
        for seed in SEEDS:
            path = run_folder(folder, name, seed)
            if not is_trained(path):
                continue
            run = open_run(path)
            for precision in precisions:
                out = folder / "bundles" / f"{name}-seed{seed}-{precision}"
                bundle = export_once(run, out, "openvino", precision)
                bundles[name, precision, seed] = open_session(
                    bundle, manifest=run.manifest(), threads=threads
                )
    if not bundles:
        raise SystemExit(f"nothing is trained in {folder}: run python benchmarks/front.py train")
    return bundles


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["train", "measure", "pages"])
    parser.add_argument("names", nargs="*", choices=[*CANDIDATES, []], help="default: all")
    parser.add_argument("--seeds", type=int, nargs="*", choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "front")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.step == "train":
        step_train(arguments.runs, arguments.names or list(CANDIDATES), arguments)
    elif arguments.step == "measure":
        step_measure(arguments.runs, arguments)
    if arguments.step != "train":
        front_pages.write(read_json(OUT))


def step_train(folder: Path, names: Sequence[str], arguments: argparse.Namespace) -> None:
    """Train candidates, seed by seed."""
    manifest = folder / "colonoscopy.csv"
    make_manifest("colonoscopy", manifest, certify=False)
    for seed in arguments.seeds:
        for name in names:
            threads = ["--threads", str(arguments.threads)]
            train_one(CANDIDATES[name], folder, manifest, seed, threads)


def step_measure(folder: Path, arguments: argparse.Namespace) -> None:
    """Measure what is trained."""
    bundles = open_bundles(folder, arguments.precisions, arguments.threads)
    with tempfile.TemporaryDirectory() as pieces:
        measured = measure(
            bundles,
            Path(pieces),
            threads=arguments.threads,
            rounds=arguments.rounds,
            track=progress,
        )
    absent = [
        f"{name}, seed {seed}"
        for name in CANDIDATES
        for seed in SEEDS
        if (name, arguments.precisions[0], seed) not in bundles
    ]
    write_json(
        OUT,
        {
            "command": "python benchmarks/front.py measure",
            **measured,
            "not_trained": absent,
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "machine": describe_machine(),
            "versions": library_versions(),
        },
    )


if __name__ == "__main__":
    main()
