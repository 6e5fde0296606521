"""One evaluation: every exit, the policy, and a twin, on one role of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from endoexit.artifacts.model_card import put_figures
from endoexit.artifacts.source import EVALUATION, Source
from endoexit.data.manifest import Cohort
from endoexit.errors import UsageError
from endoexit.evaluation.adaptive import Decision, describe
from endoexit.evaluation.card_figures import card_figures
from endoexit.evaluation.document import EvaluatedSource, Evaluation, Images
from endoexit.evaluation.intervals import RESAMPLES, GroupBootstrap
from endoexit.evaluation.latency import (
    ROUNDS,
    Measured,
    answers_by_the_clock,
    keeping_threads,
    measure_run,
)
from endoexit.evaluation.lines import adaptive_line, exit_lines, score_lines, twin_line
from endoexit.evaluation.referral import foreign_images, referrals
from endoexit.machine import library_versions
from endoexit.models.cost import LEFT_OUT
from endoexit.policy import fixed_exit
from endoexit.runtime.logits import RoleLogits
from endoexit.runtime.session import Session

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
        role: Role of the images.
        timing: Whether times are measured, always on the CPU.
        rounds: Number of measurements of each exit.
        resamples: Number of resamples of the bootstrap.
        seed: Random seed of the bootstrap.
        foreign: Folders of images that the network cannot know.
    """

    role: str = "test"
    timing: bool = True
    rounds: int = ROUNDS
    resamples: int = RESAMPLES
    seed: int = 0
    foreign: tuple[Path, ...] = ()


DEFAULTS = Options()


def evaluation_path(session: Session, role: str) -> Path:
    """Return where an evaluation is kept.

    `evaluation.json` is the test role of the run's own manifest; other roles and manifests are
    in the name, so that they never replace it.
    """
    sha256 = session.manifest.sha256
    of_run = session.source.config.manifest_sha256 in {None, sha256}
    parts = [] if role == "test" else [role]
    parts += [] if of_run else [sha256[:8]]
    return session.results / ("-".join(["evaluation", *parts]) + ".json")


def evaluate_run(
    session: Session, options: Options = DEFAULTS, *, twin: Session | None = None
) -> Evaluation:
    """Evaluate a run or a bundle and write the result; see `evaluation_path`.

    Args:
        session: Run or bundle with weights.
        options: How it is evaluated.
        twin: Run of the same network without early exits, trained on the same manifest. Its last
            exit is a line of the table.

    Raises:
        RunError: A run has no weights or no manifest.
        DataError: No image has the role, or images cannot be read.
        UsageError: An option that does not fit, or a twin of other classes or another manifest.
        PolicyError: A threshold out of range, or a policy that was fitted for something else.
    """
    source, role = session.source, options.role
    path = evaluation_path(session, role)
    cohort = session.manifest.cohort(role)
    if twin is not None:
        _check_twin(source, twin.source)
    with keeping_threads():
        logits = session.logits(role)
        of_twin = None if twin is None else _of_twin(twin, role)
        decision = _decide(session, logits, cohort, options)
        measured = _measure(session, twin, cohort, decision, options) if options.timing else None
    cost = source.complexity
    policy = decision.policy if decision else fixed_exit(len(logits.logits), len(logits.logits))
    foreign = [foreign_images(session, folder, policy, logits, cost) for folder in options.foreign]
    lines = exit_lines(logits, cost, decision, measured)
    if twin is not None and of_twin is not None:
        lines.insert(0, twin_line(of_twin, twin.source.complexity, measured))
    if decision is not None:
        lines.append(adaptive_line(logits, cost, decision, measured))
    bootstrap = GroupBootstrap(logits.groups, options.resamples, options.seed)
    evaluation = Evaluation(
        role=role,
        classes=source.classes,
        manifest_sha256=session.manifest.sha256,
        run=_evaluated(session, logits),
        twin=None if twin is None or of_twin is None else _evaluated(twin, of_twin),
        images=Images(
            paths=logits.paths,
            labels=tuple(logits.labels.tolist()),
            groups=tuple(map(str, logits.groups)),
            contents_sha256=logits.contents_sha256,
        ),
        rows=score_lines(lines, logits.labels, source.classes, bootstrap),
        adaptive=describe(decision, logits, cost, measured, bootstrap) if decision else None,
        timing=measured.timing if measured else None,
        resamples=options.resamples,
        seed=options.seed,
        left_out=LEFT_OUT,
        caution=CAUTIONS.get(role),
        versions=library_versions(),
        referrals=referrals(decision, logits, bootstrap) if decision else None,
        foreign=tuple(foreign) or None,
    )
    evaluation.write(path)
    if path == source.path / EVALUATION:
        put_figures(source.path, card_figures(evaluation))
    return evaluation


def _of_twin(twin: Session, role: str) -> RoleLogits:
    logits = twin.logits(role)
    if len(logits.logits) > 1:
        raise UsageError(
            f"{twin.source.path} has early exits, so it shows nothing of what they cost: compare "
            "with a run of the same network that was trained with --exits none."
        )
    return logits


def _check_twin(source: Source, twin: Source) -> None:
    if twin.classes != source.classes:
        raise UsageError(
            f"{twin.path} knows the classes {', '.join(twin.classes)}, {source.path} knows "
            f"{', '.join(source.classes)}: compare runs of the same classes."
        )
    if twin.config.manifest_sha256 != source.config.manifest_sha256:
        raise UsageError(
            f"{twin.path} was trained on another manifest than {source.path} and may have seen the "
            "images of this role: train it on the same one."
        )


def _decide(
    session: Session, logits: RoleLogits, cohort: Cohort, options: Options
) -> Decision | None:
    """Return the rule applied to the cohort; None where every image goes to the last exit."""
    exits, path = len(logits.logits), session.source.path
    if exits == 1:
        if session.threshold is not None:
            raise UsageError(f"{path} has one exit only: leave out the threshold.")
        return None
    decider = session.decide(exits)
    if decider.origin == "none":
        return None
    policy = decider.policy
    if policy.deadline_ms is None:
        return Decision(policy, decider.rule, policy.assign(logits.logits, logits.features))
    if not options.timing:
        raise UsageError(
            f"the policy of {path} is a deadline, so the clock decides where images exit: leave "
            "out --no-timing, or give a threshold."
        )
    answers = answers_by_the_clock(session, session.images(cohort), policy)
    exits_taken = np.array([answer.exit for answer in answers])
    late = sum(answer.deadline_missed for answer in answers)
    return Decision(
        policy, f"{decider.rule}, by the clock of this machine ({late} late)", exits_taken
    )


def _measure(
    session: Session,
    twin: Session | None,
    cohort: Cohort,
    decision: Decision | None,
    options: Options,
) -> Measured:
    return measure_run(
        session,
        session.images(cohort),
        policy=decision.policy if decision else None,
        exits=decision.exits if decision else None,
        twin=(twin, twin.images(cohort)) if twin else None,
        rounds=options.rounds,
    )


def _evaluated(session: Session, logits: RoleLogits) -> EvaluatedSource:
    config = session.source.config
    return EvaluatedSource(
        model=config.model,
        overrides=config.overrides,
        weights_sha256=session.source.weights_sha256,
        preprocessing=session.preprocessing.fingerprint(),
        precision=str(logits.precision),
        seed=config.seed,
        logits=logits.file.relative_to(session.results).as_posix(),
    )
