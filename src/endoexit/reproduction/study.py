"""The exit paper's experiment on a folder of images, from its audit to its results."""

import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import open_run
from endoexit.artifacts.source import CONFIG
from endoexit.data.manifest import Manifest
from endoexit.datasets.layouts import Recognised
from endoexit.datasets.tables import OfficialFolds
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.intervals import GroupBootstrap
from endoexit.files import read_json, write_json, write_text
from endoexit.machine import describe_machine, library_versions
from endoexit.models.hifuse.table3 import count_by_paper
from endoexit.reproduction import steps
from endoexit.reproduction.document import FILE, AuditFacts, Counts, Results, SplitResults
from endoexit.reproduction.forecast import Pace, Work, forecast_lines, measure_pace
from endoexit.reproduction.settings import WORDS, Settings, SplitName
from endoexit.reproduction.splits import Leak, measure_leak
from endoexit.reproduction.steps import Place
from endoexit.reproduction.table import markdown
from endoexit.training.start import network_of

PACES, PAGE = "paces.json", "results.md"


def prepare(
    place: Place, settings: Settings, recognised: Recognised, folds: OfficialFolds | None
) -> tuple[dict[str, Any], dict[SplitName, Manifest]]:
    """Audit the images and split them; return the audit and the manifests.

    Raises:
        UsageError: The folder is of a reproduction with other settings.
        DataError: The images cannot be used.
    """
    settings.keep(place.folder)
    audit = steps.audit(place, settings, recognised, folds)
    broken = [file["path"] for file in audit["files"]["broken"]]
    manifests = {
        name: steps.split(place, settings, recognised, name, broken) for name in settings.splits
    }
    return audit, manifests


def forecast(
    place: Place, settings: Settings, manifests: Mapping[SplitName, Manifest]
) -> tuple[list[str], tuple[Pace, ...]]:
    """Return what is to be said of the time that the trainings will take, and their pace.

    Nothing is measured where nothing is left to train, or where it was measured before.
    """
    work = []
    for name, manifest in manifests.items():
        images = sum(manifest.counts()["train"].values())
        for network in settings.networks:
            path = place.run(name, network)
            complete = (path / CONFIG).is_file() and open_run(path).is_complete
            left = 0 if complete else network.training.epochs - steps.epochs_done(path)
            if left > 0:
                work.append(Work(network=network.label, images=images, epochs=left))
    kept = place.folder / PACES
    paces = tuple(map(Pace.model_validate, read_json(kept))) if kept.is_file() else ()
    if not work:
        return ["Nothing is left to train."], paces
    if not paces:
        classes = len(next(iter(manifests.values())).classes)
        place.say("Measuring a few training steps of each network …")
        paces = tuple(
            measure_pace(network, classes, place.machine.accelerator, place.machine.threads)
            for network in settings.networks
        )
        write_json(kept, [pace.model_dump() for pace in paces])
    return forecast_lines(paces, work), paces


def run_study(
    place: Place,
    settings: Settings,
    recognised: Recognised,
    *,
    audit: Mapping[str, Any],
    manifests: Mapping[SplitName, Manifest],
    paces: Sequence[Pace],
) -> Results:
    """Train, calibrate, evaluate and report on every split, and write the results.

    Args:
        place: Where it runs.
        settings: What was asked for.
        recognised: The images.
        audit: Audit, from `prepare`.
        manifests: Manifests, from `prepare`.
        paces: Paces, from `forecast`.

    Raises:
        EndoexitError: A step fails; the next call continues there.
    """
    hashes = {row["path"]: bytes.fromhex(row["hash"]) for row in audit["images"]}
    splits = []
    for name, manifest in manifests.items():
        baseline = steps.train(place, settings, name, settings.baseline)
        run = steps.train(place, settings, name, settings.early)
        steps.calibrate(place, run)
        evaluation = steps.evaluate(place, name, run, baseline)
        page = steps.report(place, name, run)
        leak = measure_leak(manifest, hashes, settings.near_bits)
        with_copy, without = _accuracies(evaluation, leak)
        seconds = {each.path.name: steps.epoch_seconds(each.path) for each in (baseline, run)}
        splits.append(
            SplitResults(
                name=name,
                words=WORDS[name],
                images={role: sum(each.values()) for role, each in manifest.counts().items()},
                leak=leak,
                leaking_accuracy=with_copy,
                other_accuracy=without,
                epochs={label: len(each) for label, each in seconds.items()},
                minutes={label: round(sum(each) / 60, 2) for label, each in seconds.items()},
                evaluation=evaluation,
                report=page.relative_to(place.folder).as_posix(),
            )
        )
    release = recognised.release
    results = Results(
        command=shlex.join(["endoexit", *sys.argv[1:]]),
        release=release.name,
        title=release.title,
        citation=release.citation,
        licence=release.licence,
        notes=recognised.notes,
        images_by_class=dict(Counter(file.label for file in recognised.listing.files)),
        audit=_audit_facts(audit, settings.near_bits),
        settings=settings,
        counts=_counts(settings, len(splits[0].evaluation.classes)),
        paces=tuple(paces),
        splits=tuple(splits),
        versions=library_versions(),
        machine=describe_machine(),
    )
    results.write(place.folder / FILE)
    write_text(place.folder / PAGE, markdown(results))
    return results


def results_paths(folder: Path) -> tuple[Path, Path]:
    """Return the files of the results: JSON, and the tables as Markdown."""
    return folder / FILE, folder / PAGE


def _accuracies(evaluation: Evaluation, leak: Leak) -> tuple[Estimate | None, Estimate | None]:
    """Return the final exit's accuracy on images with a near-copy elsewhere, and without."""
    near = np.isin(evaluation.images.paths, leak.paths)
    right = np.array(evaluation.row("final").predicted) == np.array(evaluation.images.labels)
    groups = np.array(evaluation.images.groups)
    if near.all() or not near.any():
        return None, None
    accuracies = [
        GroupBootstrap(groups[part], evaluation.resamples, evaluation.seed).proportion(right[part])
        for part in (near, ~near)
    ]
    return accuracies[0], accuracies[1]


def _audit_facts(audit: Mapping[str, Any], bits: int) -> AuditFacts:
    near, folds = audit["near_copies"], audit["folds"]
    leak = folds and folds["share_with_near_copy_in_another_fold"][str(bits)]["all"]
    return AuditFacts(
        images=audit["files"]["readable"],
        broken=len(audit["files"]["broken"]),
        repeated_contents=audit["exact_copies"]["repeated_contents"],
        near_images=near["images"],
        groups=near["groups"],
        pairs_with_other_labels=near["pairs_with_different_labels"],
        folds=leak,
        shortcuts=tuple(shortcut["text"] for shortcut in audit["shortcuts"]),
    )


def _counts(settings: Settings, classes: int) -> tuple[Counts, ...]:
    """Return parameters and "FLOPs" by the paper's rules, which are made for HiFuse."""
    counts = []
    for network in settings.networks:
        size = network.training.image.size
        spec = network_of(network.model, classes, network.training)
        if spec.family != "hifuse":
            return ()
        cost = count_by_paper(spec.build_blank(), size)
        last = len(cost.macs)
        for number, (parameters, operations) in enumerate(
            zip(cost.parameters, cost.macs, strict=True), start=1
        ):
            name = "final" if number == last else f"exit {number}"
            name = "twin" if network == settings.baseline else name
            counts.append(Counts(name=name, parameters=parameters, operations=operations))
    return tuple(counts)
