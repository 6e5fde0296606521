"""From a run or a bundle to the material of its report."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.bundle import Bundle, Source, open_source, results_folder
from endoexit.artifacts.run import MANIFEST
from endoexit.data.manifest import sidecar_path
from endoexit.errors import DataError, EndoexitError, PolicyError, RunError, UsageError, counted
from endoexit.evaluation.document import Evaluation
from endoexit.files import read_json, sha256_file
from endoexit.images.cache import contents_sha256
from endoexit.images.reference import ImageRef
from endoexit.policy import ExitPolicy
from endoexit.precision import Precision
from endoexit.report.audit import find_audit
from endoexit.report.commands import evaluate_remedy, steps
from endoexit.report.history import read_history
from endoexit.report.material import Absent, History, Material, Network
from endoexit.report.paper import is_papers
from endoexit.runtime.session import policy_file

EVALUATION, METRICS = "evaluation.json", "metrics.csv"


def open_material(
    path: Path,
    *,
    evaluation: Path | None = None,
    images: Path | None = None,
    audit: Path | None = None,
    paper: bool | None = None,
) -> Material:
    """Gather what a run or a bundle holds for a report.

    What is missing beside the evaluation (images, weights, logits, audit) is left out with its
    reason: the report says so and is made all the same.

    Args:
        path: the folder.
        evaluation: in place of its `evaluation.json` (of a bundle, the one beside it), such as
            one of another role, with its logits in the same folder.
        images: the folder that the paths of the evaluation are relative to; by default the one
            that the run's manifest names.
        audit: document of `endoexit audit`; by default `audit.json` in the run or beside it, if
            it is about the same images.
        paper: Whether figures show the exits of the paper's Table 3; by default for the paper's
            networks alone.

    Raises:
        RunError: it is neither, was not evaluated, or its weights are no longer those evaluated.
        DataError: a folder or an audit that was named is not there, or is not one.
    """
    run = open_source(path)
    file = evaluation or results_folder(path) / EVALUATION
    found = _read_evaluation(run, file)
    split = _split(run)
    root = _images(run, split, images, found)
    policy = _policy(found)
    return Material(
        path=run.path,
        evaluation=found,
        evaluation_file=file,
        policy=policy,
        policy_changed=_policy_changed(run, found, policy),
        preprocessing=run.config.preprocessing,
        logits=_logits(run, found, file.parent),
        history=_history(run),
        split=split,
        audit=find_audit(run.path, root, audit),
        images=root,
        network=network_of(run),
        facts=_facts(run, file, found),
        steps=steps(run, found, file, policy),
        named={"evaluation": evaluation, "images": images, "audit": audit},
        paper=is_papers(run.config.model) if paper is None else paper,
    )


def _read_evaluation(run: Source, file: Path) -> Evaluation:
    if not file.is_file():
        raise RunError(
            f"there is no {file}: a report shows what an evaluation found. Make one with: "
            f"{evaluate_remedy(run)}"
        )
    found = Evaluation.read(file)
    _check_lengths(file, found)
    if run.has_weights and run.weights_sha256 != found.run.weights_sha256:
        raise RunError(
            f"{file} is of other weights than {run.path} holds now: evaluate again with "
            f"`{evaluate_remedy(run)}`."
        )
    return found


def _check_lengths(file: Path, found: Evaluation) -> None:
    """Refuse an evaluation whose lists do not belong to the same images and classes."""
    images, classes = len(found.images.paths), len(found.classes)
    exits = sum(row.kind == "exit" for row in found.rows)
    adaptive = found.adaptive
    fits = (
        images > 0 and exits > 0 and len(found.images.labels) == len(found.images.groups) == images
    )
    fits = fits and all(0 <= label < classes for label in found.images.labels)
    for row in found.rows:
        fits = fits and len(row.predicted) == len(row.confidence) == images
        fits = fits and len(row.scores.classes) == len(row.scores.confusion) == classes
        fits = fits and all(0 <= label < classes for label in row.predicted)
        fits = fits and all(len(line) == classes for line in row.scores.confusion)
    if adaptive is not None:
        fits = fits and len(adaptive.exits) == images and len(adaptive.shares) == exits
        fits = fits and all(1 <= number <= exits for number in adaptive.exits)
    if not fits:
        raise RunError(
            f"{file} does not fit together: its lists are of different images, classes or exits. "
            "Make it again with `endoexit evaluate`."
        )


def _policy(found: Evaluation) -> ExitPolicy | None:
    return None if found.adaptive is None else found.adaptive.policy


def _policy_changed(run: Source, found: Evaluation, evaluated: ExitPolicy | None) -> bool:
    try:
        file = policy_file(run, Precision.parse(found.run.precision))
        if evaluated is None or file is None:
            return False
        return ExitPolicy.read(file) != evaluated
    except (PolicyError, UsageError):
        return True


def _logits(run: Source, found: Evaluation, folder: Path) -> NDArray[np.float32] | Absent:
    file = folder / found.run.logits
    remake = f"`{evaluate_remedy(run)}` computes them again."
    try:
        # Opened here: np.load leaves a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            logits = np.asarray(archive["logits"], dtype=np.float32)
    except FileNotFoundError:
        return Absent(f"The logits of these images ({found.run.logits}) are gone; {remake}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return Absent(f"The logits of these images ({found.run.logits}) are damaged; {remake}")
    exits = sum(row.kind == "exit" for row in found.rows)
    if logits.shape != (exits, len(found.images.paths), len(found.classes)):
        return Absent(f"The logits in {found.run.logits} are of other images; {remake}")
    return logits


def _history(run: Source) -> History | Absent:
    if isinstance(run, Bundle):
        return Absent("A bundle does not hold how its network was trained; its run does.")
    return read_history(run.path / METRICS)


def _split(run: Source) -> dict[str, Any] | Absent:
    if isinstance(run, Bundle):
        return Absent("A bundle holds no list of images, so it cannot say who had which role.")
    file = sidecar_path(run.path / MANIFEST)
    if not file.is_file():
        return Absent(
            "The run has no manifest of its own, so nobody can say here which images had which "
            "role. `endoexit split` makes a manifest, `endoexit train` keeps it in the run."
        )
    try:
        document = read_json(file)
    except EndoexitError:
        document = None
    if not isinstance(document, dict):
        return Absent(f"{file.name} cannot be read; restore it from the original manifest.")
    return document


def _folder(
    run: Source, split: dict[str, Any] | Absent, images: Path | None, found: Evaluation
) -> Path | Absent:
    if images is not None:
        if not images.is_dir():
            raise DataError(f"there is no folder {images}: name the folder of the images.")
        return images.resolve()
    own = run.config.manifest_sha256 in {None, found.manifest_sha256}
    root = None if isinstance(split, Absent) else split.get("root")
    if isinstance(run, Bundle):
        return Absent(
            "A bundle keeps no list of images, and its evaluation keeps their names, not the "
            "folder that the manifest named: name that folder with --images."
        )
    if not own or not isinstance(root, str):
        return Absent(
            "The run does not say where these images are: name their folder with --images."
        )
    folder = (run.path.resolve() / root).resolve()
    if not folder.is_dir():
        return Absent(
            "The folder of the images is not there any more: bring it back, or name its new place "
            "with --images."
        )
    return folder


def _images(
    run: Source, split: dict[str, Any] | Absent, images: Path | None, found: Evaluation
) -> Path | Absent:
    """Return the folder of the images, unless they changed since they were evaluated."""
    folder = _folder(run, split, images, found)
    kept = found.images.contents_sha256
    if isinstance(folder, Absent) or kept is None:
        return folder
    references = _references(found, folder)
    there = all(reference.path.is_file() for reference in references)  # else gaps tell of it
    if there and contents_sha256(references) != kept:
        return Absent(
            "Images changed since they were evaluated, so they are not the ones that these "
            "figures are about: bring them back, or run `endoexit evaluate` again."
        )
    return folder


def _references(found: Evaluation, folder: Path) -> list[ImageRef]:
    return [ImageRef.parse(name).under(folder) for name in found.images.paths]


def network_of(run: Source) -> Network | Absent:
    """Return what says where the exits look; Absent without a network in PyTorch."""
    if run.backend != "torch":
        return Absent(
            f"These stages run in {run.backend}, which cannot be asked where it looks; the "
            "run that the bundle was exported from can."
        )
    if not run.has_weights:
        return Absent("The weights are not in the run any more, so nobody can ask where it looks.")
    from endoexit.report.attention import TorchNetwork  # noqa: PLC0415  (torch is slow to import)

    return TorchNetwork(run)


def _facts(run: Source, file: Path, found: Evaluation) -> list[tuple[str, str]]:
    config, timing = run.config, found.timing
    changed = "".join(f", {name} {value}" for name, value in config.overrides.items())
    facts = [
        ("network", f"{config.model}{changed}"),
        ("weights, SHA-256", found.run.weights_sha256),
        ("manifest, SHA-256", found.manifest_sha256),
        ("preprocessing", found.run.preprocessing),
        ("evaluation, SHA-256", sha256_file(file)),
        ("seed of the training", str(config.seed)),
        *(config.starting_weights.lines() if config.starting_weights else ()),
        *_origin(run),
        ("precision of the answers", found.run.precision),
        ("seed and draws of the intervals", f"{found.seed}, {found.resamples}"),
    ]
    if timing is not None:
        threads = f"{counted(timing.threads, 'thread')}, {timing.rounds} rounds, {timing.precision}"
        facts.append(("timed on", f"{_machine(timing.machine)}; {threads}"))
    if found.twin is not None:
        facts.append(("twin", f"{found.twin.model}, weights {found.twin.weights_sha256}"))
    facts.append((f"versions, {run.made_by}", _versions(config.versions)))
    facts.append(("versions, evaluation", _versions(found.versions)))
    return facts


def _origin(run: Source) -> list[tuple[str, str]]:
    config = run.config
    if isinstance(run, Bundle):
        return [
            ("weights of the run, SHA-256", run.config.run_weights_sha256),
            ("exported by", config.command),
            ("exported on", _machine(config.machine)),
        ]
    return [
        ("precision of the training", config.precision),
        ("trained on", _machine(config.machine)),
    ]


def _machine(machine: dict[str, Any]) -> str:
    parts = [str(machine.get("processor", "unknown"))]
    if "cores" in machine:
        parts.append(f"{machine['cores']} cores")
    if "memory_gib" in machine:
        parts.append(f"{machine['memory_gib']} GiB")
    if "system" in machine:
        parts.append(str(machine["system"]))
    return ", ".join(parts)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"
