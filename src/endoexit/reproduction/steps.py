"""The steps of a reproduction, each of which finds out whether it is done already."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endoexit.artifacts.run import Run, open_run
from endoexit.artifacts.source import CONFIG, EVALUATION, METRICS, POLICY
from endoexit.auditing.findings import audit_images
from endoexit.auditing.recording import write_audit
from endoexit.data.manifest import Manifest, read_manifest
from endoexit.datasets.layouts import Recognised
from endoexit.datasets.tables import OfficialFolds
from endoexit.errors import DataError, EndoexitError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.fitting import calibrate_run
from endoexit.evaluation.study import evaluate_run
from endoexit.files import read_json
from endoexit.policy import ExitPolicy
from endoexit.policy.goals import AccuracyDrop
from endoexit.precision import Device
from endoexit.progress import Track, silent
from endoexit.reporting.opening import open_material
from endoexit.reporting.write import PAGE, write_report
from endoexit.reproduction.settings import Network, Settings, SplitName
from endoexit.reproduction.splits import make_manifest
from endoexit.runtime.session import Session, open_session
from endoexit.training.fit import Machine, fit, images_to_decode
from endoexit.training.start import create_run

AUDIT, FOLDS = "audit.json", "folds.csv"
MAX_DROP = 0.01  # the policy gives away at most this share of accuracy on calibrate


@dataclass(frozen=True)
class Place:
    """Where a reproduction runs, and how it tells what it does.

    Attributes:
        folder: Folder of everything that it makes.
        machine: Where trainings run.
        device: What computes the answers that are scored; times are measured on the CPU.
        threads: Threads of one stage while times are measured; None for all usable cores.
        track: Shows progress.
        say: Says what is done next, or is done already.
    """

    folder: Path
    machine: Machine
    device: Device = "cpu"
    threads: int | None = None
    track: Track = silent
    say: Callable[[str], None] = lambda _: None

    def run(self, split: SplitName, network: Network) -> Path:
        """Return the folder of a training."""
        return self.folder / "runs" / split / network.label

    def manifest(self, split: SplitName) -> Path:
        """Return the file of a manifest."""
        return self.folder / f"{split}.csv"

    def open(self, run: Run, manifest: Manifest | None = None) -> Session:
        """Return a run at work."""
        return open_session(
            run,
            device=self.device,
            threads=self.threads,
            manifest=manifest,
            cache=self.machine.cache,
            track=self.track,
        )

    def report(self, split: SplitName) -> Path:
        """Return the folder of a report."""
        return self.folder / f"report-{split}"


def audit(
    place: Place, settings: Settings, recognised: Recognised, folds: OfficialFolds | None
) -> dict[str, Any]:
    """Return what the audit of the images wrote: copies, leaks of the folds, insets."""
    path, table = place.folder / AUDIT, place.folder / FOLDS
    if path.is_file() and (folds is None) == (not table.is_file()):
        place.say(f"Audit: done ({path})")
        return _read_audit(path)
    if folds is not None:
        folds.write(table, recognised)
    files = recognised.listing.files
    with place.track("Audit: reading images", len(files)) as bar:
        findings = audit_images(
            recognised.listing,
            threshold=settings.near_bits,
            folds=table if folds is not None else None,
            advance=bar.advance,
        )
    write_audit(findings, path)
    place.say(f"Audit: written to {path}")
    return _read_audit(path)


def _read_audit(path: Path) -> dict[str, Any]:
    document = read_json(path, DataError)
    if not isinstance(document, dict) or "images" not in document:
        raise DataError(f"{path} is no audit: remove it to audit again.")
    return document


def split(
    place: Place, settings: Settings, recognised: Recognised, name: SplitName, broken: list[str]
) -> Manifest:
    """Return the manifest of a split."""
    path = place.manifest(name)
    if path.is_file():
        return read_manifest(path)
    with place.track(f"Split {name}", len(recognised.listing.files)) as bar:
        manifest = make_manifest(
            path,
            name,
            recognised,
            broken=broken,
            near_bits=settings.near_bits,
            advance=bar.advance,
        )
    place.say(f"Split {name}: written to {path}")
    return manifest


def train(place: Place, settings: Settings, name: SplitName, network: Network) -> Run:
    """Return a trained run: trained now, continued from its last epoch, or as it is."""
    path, label = place.run(name, network), network.label
    if (path / CONFIG).is_file():
        run = open_run(path)
        if run.is_complete:
            place.say(f"Training of {label} on {name}: done")
            return run
        place.say(f"Training of {label} on {name}: continues after {epochs_done(path)} epochs")
    else:
        place.say(f"Training of {label} on {name}: starts")
        run = create_run(
            path,
            place.manifest(name),
            network.model,
            network.training,
            seed=settings.seed,
            root=None,
            weights=network.weights,
            accelerator=place.machine.accelerator,
        )
    with place.track(f"Decoding images of {name}", images_to_decode(run)) as bar:
        return fit(run, place.machine, advance=bar.advance)


def epochs_done(run: Path) -> int:
    """Return how many epochs of a training are complete."""
    return len(epoch_seconds(run))


def epoch_seconds(run: Path) -> list[float]:
    """Return the seconds of each complete epoch of a training."""
    try:
        with (run / METRICS).open(encoding="utf-8", newline="") as stream:
            return [float(row["seconds"]) for row in csv.DictReader(stream)]
    except (OSError, KeyError, ValueError):
        return []


def calibrate(place: Place, run: Run) -> None:
    """Fit the exit policy of a run where it has none of these weights."""
    try:
        policy = ExitPolicy.read(run.path / POLICY)
    except EndoexitError:
        policy = None
    if policy and policy.provenance and policy.provenance.weights_sha256 == run.weights_sha256:
        return
    calibrate_run(place.open(run), AccuracyDrop(drop=MAX_DROP))


def evaluate(place: Place, name: SplitName, run: Run, baseline: Run) -> Evaluation:
    """Return the evaluation of a run compared with its baseline, times on the CPU included."""
    path = run.path / EVALUATION
    if path.is_file():
        known = Evaluation.read(path)
        weights = (known.run.weights_sha256, known.twin.weights_sha256 if known.twin else "")
        if known.timing and weights == (run.weights_sha256, baseline.weights_sha256):
            place.say(f"Evaluation on {name}: done")
            return known
    place.say(f"Evaluation on {name}: starts")
    session = place.open(run)
    return evaluate_run(session, twin=place.open(baseline, session.manifest))


def report(place: Place, name: SplitName, run: Run) -> Path:
    """Return the page of a split's report, written again where the evaluation is newer."""
    page = place.report(name) / PAGE
    evaluated = (run.path / EVALUATION).stat().st_mtime_ns
    if not page.is_file() or page.stat().st_mtime_ns < evaluated:
        material = open_material(run.path, audit=place.folder / AUDIT)
        write_report(material, place.report(name), track=place.track)
    return page
