"""The front: accuracy on test against measured time, with and without early exits.

    python benchmarks/front.py train                 train what is missing, every candidate and seed
    python benchmarks/front.py train lite0-128 --seeds 0
    python benchmarks/front.py build                 make what is timed; `measure` does it, too
    python benchmarks/front.py measure               time and compare all networks that were trained
    python benchmarks/front.py pages                 tables and figure from the results

Candidates are in front_networks.py, on the colonoscopy images of `real.py`. Trainings take minutes
to an hour each on two cores. What a training showed is kept in benchmarks/results/front_points.json
and not trained again, also where its run is gone. Policies are found on calibrate, never on test.

All times come from one process in which all networks take turns, one image at a time. They do not
depend on the weights, so each network is trained for a moment on synthetic images for them. Results
go to benchmarks/results/front.json, tables and figure into docs/front.md, and a sentence into
README.md and docs/index.md.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import front_pages
from endoexit.artifacts.run import open_run
from endoexit.cli.console import progress
from endoexit.data.manifest import write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, usable_cores
from endoexit.phantom.render import render_phantom
from endoexit.runtime.session import open_session
from front_measure import measure
from front_networks import CANDIDATES, SEEDS, Candidate
from front_points import keep, kept_points, points_of, read_points
from real import endoexit, train
from real_split import make_manifest
from runtime_networks import export_once
from tables import RESULTS, ROOT

OUT = RESULTS / "front.json"
PRECISIONS = ("f32", "int8")
Bundles = dict[tuple[str, str], Path]  # by candidate and precision
# Synthetic images of each class for a training of a moment.
ROLES = ("train",) * 6 + ("val",) * 2 + ("calibrate",) * 2 + ("test",) * 2
FILES = 20  # test images that are decoded and answered, one after the other


def run_folder(folder: Path, name: str, seed: int) -> Path:
    """Return the run folder of a candidate."""
    return folder / "colonoscopy" / f"{name}-seed{seed}"


def train_one(
    candidate: Candidate, folder: Path, manifest: Path, seed: int, words: Sequence[str]
) -> Path:
    """Train a candidate and what it needs, unless that is done; return its run folder."""
    path = run_folder(folder, candidate.name, seed)
    for needed in candidate.needs():
        train_one(needed, folder, manifest, seed, words)
    if candidate.members:
        if not (path / "config.json").is_file():
            members = [run_folder(folder, name, seed) for name in candidate.members]
            endoexit("cascade", *members, "--combine", candidate.combine, "--out", path)
        return path
    teacher = (
        ["--teacher", str(run_folder(folder, candidate.teacher, seed))] if candidate.teacher else []
    )
    train(manifest, [*candidate.train, *teacher], seed, path, *words)
    return path


def step_train(folder: Path, names: Sequence[str], arguments: argparse.Namespace) -> None:
    """Train candidates, seed by seed, and keep their points."""
    manifest = folder / "colonoscopy.csv"
    make_manifest("colonoscopy", manifest, certify=False)
    words = ["--threads", str(arguments.threads)]
    for seed in arguments.seeds:
        for name in names:
            if f"{name}, seed {seed}" in read_points() and not arguments.again:
                continue
            run = open_run(train_one(CANDIDATES[name], folder, manifest, seed, words))
            points = []
            for precision in PRECISIONS:
                out = folder / "bundles" / f"{name}-seed{seed}-{precision}"
                bundle = export_once(run, out, "openvino", precision)
                session = open_session(bundle, manifest=run.manifest(), threads=arguments.threads)
                points += points_of(name, precision, seed, session)
            keep(name, seed, run, points)


def synthetic_manifest(folder: Path) -> Path:
    """Render some images of each class, and write a manifest of all roles."""
    phantom = render_phantom(folder / "phantom", len(ROLES))
    rows = []
    for label in sorted(path for path in phantom.iterdir() if path.is_dir()):
        for path, role in zip(sorted(label.glob("*.jpg")), ROLES, strict=True):
            name = path.relative_to(folder).as_posix()
            rows.append(ManifestRow(name, label.name, name, role))
    write_manifest(folder / "synthetic.csv", rows, folder)
    return folder / "synthetic.csv"


def momentary_bundles(names: Sequence[str], arguments: argparse.Namespace) -> Bundles:
    """Train each network for a moment and export it, unless that is done; return what opens it."""
    place = arguments.runs / "momentary"
    place.mkdir(parents=True, exist_ok=True)
    manifest = synthetic_manifest(place)
    words = ["--threads", str(arguments.threads)]
    bundles = {}
    for name in names:
        run = open_run(train_one(CANDIDATES[name].momentary(), place, manifest, 0, words))
        for precision in arguments.precisions:
            out = place / "bundles" / f"{name}-{precision}"
            bundles[name, precision] = export_once(run, out, "openvino", precision)
    return bundles


def step_measure(arguments: argparse.Namespace) -> None:
    """Measure the time of every network that has points, and write the results."""
    points = kept_points()
    names = [name for name in CANDIDATES if any(point.network == name for point in points)]
    if not names:
        raise SystemExit("nothing is trained yet: run python benchmarks/front.py train")
    bundles = momentary_bundles(names, arguments)
    if arguments.step == "build":
        return
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        test = make_manifest("colonoscopy", place / "colonoscopy.csv", certify=False).cohort("test")
        files = [image.path for image in test.images[:: len(test.images) // FILES]][:FILES]
        measured = measure(
            points,
            {key: open_session(bundle, threads=arguments.threads)
             for key, bundle in bundles.items()},
            files,
            place,
            threads=arguments.threads,
            rounds=arguments.rounds,
            track=progress,
        )  # fmt: skip
    kept = read_points()
    absent = [
        f"{name}, seed {seed}"
        for name in CANDIDATES
        for seed in SEEDS
        if f"{name}, seed {seed}" not in kept
    ]
    write_json(
        OUT,
        {
            "command": "python benchmarks/front.py measure",
            **measured,
            "not_trained": absent,
            "test_images": len(test.images),
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "machine": describe_machine(),
            "versions": library_versions(),
        },
    )


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["train", "build", "measure", "pages"])
    parser.add_argument("names", nargs="*", choices=[*CANDIDATES, []], help="default: all")
    parser.add_argument("--seeds", type=int, nargs="*", choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--again", action="store_true", help="also what was trained earlier")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "front")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.step == "train":
        step_train(arguments.runs, arguments.names or list(CANDIDATES), arguments)
    elif arguments.step in {"build", "measure"}:
        step_measure(arguments)
    if arguments.step in {"measure", "pages"}:
        front_pages.write(read_json(OUT))


if __name__ == "__main__":
    main()
