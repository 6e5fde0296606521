"""One evaluation: every exit, the adaptive rule, and a twin, on one role of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.bundle import Source, results_folder
from endoexit.artifacts.card import put_figures
from endoexit.artifacts.run import Run
from endoexit.data.manifest import Cohort, Manifest
from endoexit.errors import UsageError
from endoexit.evaluation.adaptive import Decision, describe
from endoexit.evaluation.card import card_figures
from endoexit.evaluation.document import Evaluation, Images, Subject
from endoexit.evaluation.intervals import RESAMPLES, GroupBootstrap
from endoexit.evaluation.latency import ROUNDS, Measured, answers_by_the_clock, measure_run
from endoexit.evaluation.logits import RoleLogits, collect_logits
from endoexit.evaluation.rows import adaptive_line, exit_lines, score_lines, twin_line
from endoexit.images.cache import cache_images
from endoexit.machine import library_versions
from endoexit.models.cost import LEFT_OUT, Complexity
from endoexit.policy import threshold_policy
from endoexit.precision import Device, FloatFormat
from endoexit.progress import Track, silent
from endoexit.runtime.session import POLICY, read_policy

EVALUATION = "evaluation.json"
THRESHOLD = 0.9
CAUTIONS = {
    "train": "these images trained the network: the figures say nothing about new ones.",
    "val": "these images chose the epoch that was kept: the figures are optimistic.",
    "calibrate": "a policy that was fitted on these images looks better here than it is.",
    "certify": "a policy that was certified on these images looks better here than it is.",
}


@dataclass(frozen=True)
class Options:
    """How an evaluation is done.

    Attributes:
        role: of the images.
        threshold: of the largest probability, in [0, 1]; by default the run's `policy.json`
            decides, and `THRESHOLD` without one.
        precision: see `endoexit.runtime.session.computed_in`.
        device: that computes the logits; times are measured on the CPU.
        timing: measure times.
        rounds: measurements of each exit.
        threads: of one stage while times are measured; by default all usable cores.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        cache: folder of decoded images; by default the user's.
        out: folder for the document and the logits; by default see
            `endoexit.artifacts.bundle.results_folder`.
    """

    role: str = "test"
    threshold: float | None = None
    precision: FloatFormat | None = None
    device: Device = "cpu"
    timing: bool = True
    rounds: int = ROUNDS
    threads: int | None = None
    resamples: int = RESAMPLES
    seed: int = 0
    cache: Path | None = None
    out: Path | None = None


DEFAULTS = Options()


def evaluation_path(run: Source, role: str, manifest_sha256: str, out: Path | None = None) -> Path:
    """Return where an evaluation is kept.

    `evaluation.json` is the test role of the run's own manifest; other roles and manifests are
    in the name, so that they never replace it.

    Args:
        run: that was evaluated.
        role: of the images.
        manifest_sha256: of the manifest that gave it.
        out: the folder that was asked for; by default see `artifacts.bundle.results_folder`.

    Raises:
        UsageError: A folder in a bundle.
    """
    own = run.config.manifest_sha256 in {None, manifest_sha256}
    parts = [] if role == "test" else [role]
    parts += [] if own else [manifest_sha256[:8]]
    return results_folder(run.path, out) / ("-".join(["evaluation", *parts]) + ".json")


def evaluate_run(
    run: Source,
    options: Options = DEFAULTS,
    *,
    twin: Source | None = None,
    manifest: Manifest | None = None,
    track: Track = silent,
) -> Evaluation:
    """Evaluate a run or a bundle and write the result; see `evaluation_path`.

    Args:
        run: with weights.
        options: see `Options`.
        twin: a run of the same network without early exits, trained on the same manifest; its
            last exit stands beside.
        manifest: in place of the run's own.
        track: shows progress.

    Raises:
        RunError: A run has no weights or no manifest.
        DataError: No image has the role, or images cannot be read.
        UsageError: An option that does not fit, or a twin of other classes or another manifest.
        PolicyError: A threshold out of range, or a policy that was fitted for something else.
    """
    manifest = manifest or run.manifest()
    path = evaluation_path(run, options.role, manifest.sha256, options.out)
    cohort = manifest.cohort(options.role)
    if twin is not None:
        _check_twin(run, twin)
    logits = _logits(run, manifest, options, track)
    beside = None if twin is None else _logits(twin, manifest, options, track)
    decision = _decide(run, logits, cohort, options, track)
    measured = None
    if options.timing:
        measured = _measure(run, twin, cohort, decision, options=options, track=track)
    cost = _cost(run)
    lines = exit_lines(logits, cost, decision, measured)
    if twin is not None and beside is not None:
        lines.insert(0, twin_line(beside, _cost(twin), measured))
    if decision is not None:
        lines.append(adaptive_line(logits, cost, decision, measured))
    bootstrap = GroupBootstrap(logits.groups, options.resamples, options.seed)
    found = Evaluation(
        role=options.role,
        classes=run.classes,
        manifest_sha256=manifest.sha256,
        run=_subject(run, logits, options),
        twin=None if twin is None or beside is None else _subject(twin, beside, options),
        images=Images(
            paths=logits.paths,
            labels=tuple(logits.labels.tolist()),
            groups=tuple(map(str, logits.groups)),
            contents_sha256=logits.contents_sha256,
        ),
        rows=score_lines(lines, logits.labels, run.classes, bootstrap),
        adaptive=describe(decision, logits, cost, measured, bootstrap) if decision else None,
        timing=measured.timing if measured else None,
        resamples=options.resamples,
        seed=options.seed,
        left_out=LEFT_OUT,
        caution=CAUTIONS.get(options.role),
        versions=library_versions(),
    )
    found.write(path)
    if isinstance(run, Run) and path == run.path / EVALUATION:
        put_figures(run, card_figures(found))
    return found


def _check_twin(run: Source, twin: Source) -> None:
    if twin.classes != run.classes:
        raise UsageError(
            f"{twin.path} knows the classes {', '.join(twin.classes)}, {run.path} knows "
            f"{', '.join(run.classes)}: compare runs of the same classes."
        )
    if twin.config.manifest_sha256 != run.config.manifest_sha256:
        raise UsageError(
            f"{twin.path} was trained on another manifest than {run.path} and may have seen the "
            "images of this role: train it on the same one."
        )


def _logits(run: Source, manifest: Manifest, options: Options, track: Track) -> RoleLogits:
    return collect_logits(
        run,
        options.role,
        precision=options.precision,
        device=options.device,
        manifest=manifest,
        cache=options.cache,
        out=options.out,
        track=track,
    )


def _decide(
    run: Source, logits: RoleLogits, cohort: Cohort, options: Options, track: Track
) -> Decision | None:
    """Return the adaptive rule applied to the cohort; None for a network with one exit."""
    exits = len(logits.logits)
    if exits == 1:
        if options.threshold is not None:
            raise UsageError(f"{run.path} has one exit only: leave out the threshold.")
        return None
    policy = read_policy(run, logits.precision) if options.threshold is None else None
    if policy is None:
        threshold = THRESHOLD if options.threshold is None else options.threshold
        policy = threshold_policy(exits, threshold)
        origin = f"largest probability of at least {threshold:g}"
        return Decision(policy, origin, policy.assign(logits.logits))
    origin = f"{POLICY}: {policy.goal or policy.rule.kind}"
    if policy.deadline_ms is None:
        return Decision(policy, origin, policy.assign(logits.logits))
    if not options.timing:
        raise UsageError(
            f"the policy of {run.path} is a deadline, so who leaves where is up to the clock: "
            "leave out --no-timing, or give a threshold."
        )
    answers = answers_by_the_clock(
        run,
        _images(run, cohort, options),
        policy,
        precision=options.precision,
        threads=options.threads,
        track=track,
    )
    left_at = np.array([answer.exit for answer in answers])
    late = sum(answer.deadline_missed for answer in answers)
    return Decision(policy, f"{origin}, by the clock of this machine ({late} late)", left_at)


def _images(run: Source, cohort: Cohort, options: Options) -> NDArray[np.uint8]:
    return cache_images(cohort.images, run.config.preprocessing, options.cache).images


def _measure(
    run: Source,
    twin: Source | None,
    cohort: Cohort,
    decision: Decision | None,
    *,
    options: Options,
    track: Track,
) -> Measured:
    return measure_run(
        run,
        _images(run, cohort, options),
        policy=decision.policy if decision else None,
        exits=decision.exits if decision else None,
        twin=(twin, _images(twin, cohort, options)) if twin else None,
        precision=options.precision,
        threads=options.threads,
        rounds=options.rounds,
        track=track,
    )


def _cost(run: Source) -> Complexity:
    return run.config.network.complexity


def _subject(run: Source, logits: RoleLogits, options: Options) -> Subject:
    return Subject(
        model=run.config.model,
        overrides=run.config.overrides,
        weights_sha256=run.weights_sha256,
        preprocessing=run.config.preprocessing.fingerprint(),
        precision=str(logits.precision),
        seed=run.config.seed,
        logits=logits.file.relative_to(results_folder(run.path, options.out)).as_posix(),
    )
