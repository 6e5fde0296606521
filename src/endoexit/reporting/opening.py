"""From a run or a bundle to the material of its report."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.bundle import open_source
from endoexit.artifacts.source import EVALUATION, Source
from endoexit.data.manifest import sidecar_path
from endoexit.errors import DataError, EndoexitError, PolicyError, RunError, UsageError, counted
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.robustness import Robustness, robustness_file
from endoexit.files import read_json, sha256_file
from endoexit.images.cache import contents_sha256
from endoexit.images.reference import ImageRef
from endoexit.machine import machine_words
from endoexit.policy import ExitPolicy
from endoexit.precision import Precision
from endoexit.reporting.audit import find_audit, unless_changed
from endoexit.reporting.commands import evaluate_remedy, steps
from endoexit.reporting.history import read_history
from endoexit.reporting.material import Absent, Attention, History, Material
from endoexit.reporting.paper import is_papers

if TYPE_CHECKING:
    from endoexit.models.staged import StagedClassifier


def open_material(
    path: Path,
    *,
    evaluation: Path | None = None,
    images: Path | None = None,
    audit: Path | None = None,
    paper: bool | None = None,
) -> Material:
    """Gather what a run or a bundle holds for a report.

    Other than the evaluation, anything may be missing (images, weights, logits, audit): the report
    says so and why.

    Args:
        path: Folder of the run or bundle.
        evaluation: Evaluation in place of its `evaluation.json` (for a bundle, the one next to
            it), such as one of another role, with its logits in the same folder.
        images: Folder that the paths of the evaluation are relative to; by default the one that
            the run's manifest names.
        audit: Document of `endoexit audit`; by default `audit.json` in the run or next to it, if
            it is about the same images.
        paper: Whether the measurements of the exit paper are drawn as well; by default for
            networks of its family.

    Raises:
        RunError: It is neither, was not evaluated, or its weights are no longer those evaluated.
        DataError: A folder or an audit that was named is not there, or is not one.
    """
    source = open_source(path)
    file = evaluation or source.results() / EVALUATION
    evaluated = _read_evaluation(source, file)
    split = _split(source)
    root = _images(source, split, images, evaluated)
    policy = _policy(evaluated)
    return Material(
        source=source,
        evaluation=evaluated,
        evaluation_file=file,
        policy=policy,
        policy_changed=_policy_changed(source, evaluated, policy),
        logits=_logits(source, evaluated, file.parent),
        history=_history(source),
        split=split,
        audit=unless_changed(find_audit(source.path, root, audit), root, evaluated.images.paths),
        images=root,
        attention=attention_of(source),
        robustness=_robustness(evaluated, robustness_file(file)),
        facts=_facts(source, file, evaluated),
        steps=steps(source, evaluated, file, policy),
        named={"evaluation": evaluation, "images": images, "audit": audit, "paper": paper},
        paper=is_papers(source.config.model) if paper is None else paper,
    )


def _read_evaluation(source: Source, file: Path) -> Evaluation:
    if not file.is_file():
        raise RunError(
            f"there is no {file}: a report shows an evaluation. Make one with: "
            f"{evaluate_remedy(source)}"
        )
    evaluation = Evaluation.read(file)
    _check_lengths(file, evaluation)
    if source.has_weights and source.weights_sha256 != evaluation.run.weights_sha256:
        raise RunError(
            f"{file} is of other weights than {source.path} holds now: evaluate again with "
            f"`{evaluate_remedy(source)}`."
        )
    return evaluation


def _check_lengths(file: Path, evaluation: Evaluation) -> None:
    """Refuse an evaluation whose lists do not belong to the same images and classes."""
    images, classes = len(evaluation.images.paths), len(evaluation.classes)
    exits = sum(row.kind == "exit" for row in evaluation.rows)
    adaptive = evaluation.adaptive
    labels, groups = evaluation.images.labels, evaluation.images.groups
    fits = images > 0 and exits > 0 and len(labels) == len(groups) == images
    fits = fits and all(0 <= label < classes for label in labels)
    for row in evaluation.rows:
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


def _robustness(evaluation: Evaluation, file: Path) -> Robustness | None:
    """Return what changed images showed; None where nothing is there, or it is of another state."""
    if not file.is_file():
        return None
    robustness = Robustness.read(file)
    evaluated = (evaluation.run.weights_sha256, evaluation.role, evaluation.manifest_sha256)
    shown = (robustness.weights_sha256, robustness.role, robustness.manifest_sha256)
    same = shown == evaluated
    policy = _policy(evaluation)
    if not same or (policy is not None and policy != robustness.policy):
        return None
    return robustness


def _policy(evaluation: Evaluation) -> ExitPolicy | None:
    return None if evaluation.adaptive is None else evaluation.adaptive.policy


def _policy_changed(source: Source, evaluation: Evaluation, evaluated: ExitPolicy | None) -> bool:
    try:
        file = source.policy_file(Precision.parse(evaluation.run.precision))
        if evaluated is None or file is None:
            return False
        return ExitPolicy.read(file) != evaluated
    except (PolicyError, UsageError):
        return True


def _logits(source: Source, evaluation: Evaluation, folder: Path) -> NDArray[np.float32] | Absent:
    file = folder / evaluation.run.logits
    remake = f"`{evaluate_remedy(source)}` computes them again."
    try:
        # Opened here: np.load leaves a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            logits = np.asarray(archive["logits"], dtype=np.float32)
    except FileNotFoundError:
        return Absent(f"The logits of these images ({evaluation.run.logits}) are gone; {remake}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return Absent(f"The logits of these images ({evaluation.run.logits}) are damaged; {remake}")
    exits = sum(row.kind == "exit" for row in evaluation.rows)
    if logits.shape != (exits, len(evaluation.images.paths), len(evaluation.classes)):
        return Absent(f"The logits in {evaluation.run.logits} are of other images; {remake}")
    return logits


def _history(source: Source) -> History | Absent:
    if source.config.members:
        return Absent(
            "A cascade is put together from trained runs: see the reports of its members."
        )
    if source.metrics_file is None:
        return Absent("A bundle does not hold how its network was trained; its run does.")
    return read_history(source.metrics_file)


def _split(source: Source) -> dict[str, Any] | Absent:
    if source.manifest_file is None:
        return Absent(
            "A bundle holds no list of images, so it cannot say which image had which role."
        )
    file = sidecar_path(source.manifest_file)
    if not file.is_file():
        return Absent(
            "The run keeps no manifest, so it is not known here which images had which role. "
            "`endoexit split` makes a manifest, `endoexit train` keeps it in the run."
        )
    try:
        document = read_json(file)
    except EndoexitError:
        document = None
    if not isinstance(document, dict):
        return Absent(f"{file.name} cannot be read; restore it from the original manifest.")
    return document


def _folder(
    source: Source, split: dict[str, Any] | Absent, images: Path | None, evaluation: Evaluation
) -> Path | Absent:
    if images is not None:
        if not images.is_dir():
            raise DataError(f"there is no folder {images}: name the folder of the images.")
        return images.resolve()
    of_run = source.config.manifest_sha256 in {None, evaluation.manifest_sha256}
    root = None if isinstance(split, Absent) else split.get("root")
    if source.manifest_file is None:
        return Absent(
            "A bundle keeps no list of images, and its evaluation keeps their names, not the "
            "folder that the manifest named: name that folder with --images."
        )
    if not of_run or not isinstance(root, str):
        return Absent(
            "The run does not say where these images are: name their folder with --images."
        )
    folder = (source.path.resolve() / root).resolve()
    if not folder.is_dir():
        return Absent(
            "The folder of the images is not there any more: bring it back, or name its new place "
            "with --images."
        )
    return folder


def _images(
    source: Source, split: dict[str, Any] | Absent, images: Path | None, evaluation: Evaluation
) -> Path | Absent:
    """Return the folder of the images, unless they changed since they were evaluated."""
    folder = _folder(source, split, images, evaluation)
    kept = evaluation.images.contents_sha256
    if isinstance(folder, Absent) or kept is None:
        return folder
    references = [ImageRef.parse(name).under(folder) for name in evaluation.images.paths]
    there = all(reference.path.is_file() for reference in references)  # else gaps tell of it
    if there and contents_sha256(references) != kept:
        return Absent(
            "Images, or the libraries that read them, changed since they were evaluated, so they "
            "are not the ones that these figures are about: bring them back, or "
            "run `endoexit evaluate` again."
        )
    return folder


def attention_of(
    source: Source, load_model: "Callable[[], StagedClassifier] | None" = None
) -> Attention | Absent:
    """Return the function that shows where the exits look; Absent without a network in PyTorch.

    Args:
        source: Run or bundle.
        load_model: Function that returns its network, by default that of the source.
    """
    if source.backend != "torch":
        return Absent(
            f"These stages run in {source.backend}, which cannot be asked where it looks; the "
            "run that the bundle was exported from can."
        )
    if not source.has_weights:
        return Absent("The weights are not in the run any more, so the network cannot be asked.")
    from endoexit.reporting.attention import NetworkAttention  # noqa: PLC0415  (torch is slow)

    return NetworkAttention(load_model or source.load_model, source.config.preprocessing)


def _facts(source: Source, file: Path, evaluation: Evaluation) -> list[tuple[str, str]]:
    config, timing = source.config, evaluation.timing
    changed = "".join(f", {name} {value}" for name, value in config.settings_words())
    facts = [
        ("network", f"{config.model}{changed}"),
        ("weights, SHA-256", evaluation.run.weights_sha256),
        ("manifest, SHA-256", evaluation.manifest_sha256),
        ("preprocessing", evaluation.run.preprocessing),
        ("evaluation, SHA-256", sha256_file(file)),
        *config.making(),
        *source.origin.items(),
        ("precision of the answers", evaluation.run.precision),
        ("seed and draws of the intervals", f"{evaluation.seed}, {evaluation.resamples}"),
    ]
    if timing is not None:
        threads = f"{counted(timing.threads, 'thread')}, {timing.rounds} rounds, {timing.precision}"
        facts.append(("timed on", f"{machine_words(timing.machine)}; {threads}"))
    if evaluation.twin is not None:
        facts.append(("twin", f"{evaluation.twin.model}, weights {evaluation.twin.weights_sha256}"))
    facts.append((f"versions, {source.made_by}", _versions(config.versions)))
    facts.append(("versions, evaluation", _versions(evaluation.versions)))
    return facts


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"
