"""From a run and a goal to `policy.json`: logits of its roles, costs of its exits, the policy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression

from endoexit.artifacts.lineage import learnt_from
from endoexit.artifacts.run import Run
from endoexit.artifacts.source import POLICY, Source
from endoexit.data.manifest import Cohort
from endoexit.data.unseen import LEARNT_FROM
from endoexit.errors import DataError, PolicyError, RunError, counted
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.unlike import fit_distance
from endoexit.files import sha256_file
from endoexit.machine import describe_machine
from endoexit.policy import ExitPolicy
from endoexit.policy.distance import Distance
from endoexit.policy.document import Costs
from endoexit.policy.goals import Goal, Guarantee
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.search import DEFAULT_RULE, PolicyResult, find_policy
from endoexit.runtime.deciding import served_provenance
from endoexit.runtime.session import Session

CostUnit = Literal["macs", "ms"]


@dataclass(frozen=True)
class CalibrationOptions:
    """How a policy is found.

    Attributes:
        rules: Policies that are tried.
        cost: Cost of an image at each exit: true multiply-adds, or the milliseconds that an
            evaluation measured on this machine. None takes what the goal is about, and
            multiply-adds where it is about neither.
    """

    rules: RuleOptions = DEFAULT_RULE
    cost: CostUnit | None = None


DEFAULTS = CalibrationOptions()


@dataclass(frozen=True)
class Calibrated:
    """A policy that was written.

    Attributes:
        result: Policy and how it came about.
        path: File of the policy.
    """

    result: PolicyResult
    path: Path

    @property
    def policy(self) -> ExitPolicy:
        """Policy that was found."""
        return self.result.policy


def calibrate_run(
    session: Session, goal: Goal, options: CalibrationOptions = DEFAULTS
) -> Calibrated:
    """Find the policy for a goal and write `policy.json` into the run; see `find_run_policy`."""
    result = find_run_policy(session, goal, options)
    path = session.source.path / POLICY
    result.policy.write(path)
    return Calibrated(result, path)


def find_run_policy(
    session: Session,
    goal: Goal,
    options: CalibrationOptions = DEFAULTS,
    *,
    costs: Costs | None = None,
) -> PolicyResult:
    """Find the policy of a run or a bundle for a goal. Nothing is written.

    Temperatures and candidates come from the role calibrate; a guarantee is proven on the role
    certify. The policy can serve only these weights, preprocessing, classes and precision.

    Args:
        session: Run or bundle with weights.
        goal: Goal of the user, see `endoexit.policy.goal_options.make_goal`.
        options: How the policy is found.
        costs: Costs of the exits, by default those of `exit_costs`.

    Raises:
        RunError: The run has no weights or no manifest.
        DataError: No image has the role, images cannot be read, or they took part in training.
        PolicyError: No policy meets the goal, certify is too small, or costs are missing.
        UsageError: An option that does not fit, or a class that does not exist.
    """
    costs = costs or exit_costs(session, options.cost or ("ms" if goal.about_time else "macs"))
    source, manifest = session.source, session.manifest
    roles = ("calibrate", "certify") if isinstance(goal, Guarantee) else ("calibrate",)
    for role in roles:
        require_unseen(source, manifest.cohort(role))
    sets = [session.logits(role).as_set() for role in roles]
    distance = None
    if options.rules.unlike_by == "mahalanobis" and options.rules.refer_unlike is not None:
        distance = _distance(session, sets[0], options.rules.refer_unlike)
    result = find_policy(
        goal,
        calibrate=sets[0],
        certify=sets[1] if len(sets) == 2 else None,
        costs=costs,
        classes=source.classes,
        options=options.rules,
        distance=distance,
    )
    served = served_provenance(source, session.precision, manifest.sha256)
    return replace(result, policy=result.policy.replaced(provenance=served))


def _distance(session: Session, calibrate: LogitSet, share: float) -> Distance:
    """Return the distance of features: fitted on train, its threshold on calibrate."""
    cohort = session.manifest.cohort("train")
    train = session.features(session.images(cohort))
    assert calibrate.features is not None  # noqa: S101  (a session computes them)
    return fit_distance(train, cohort.labels, calibrate.features(), share)


def exit_costs(session: Session, unit: CostUnit) -> Costs:
    """Return what each exit of a run costs.

    Args:
        session: Run or bundle with weights.
        unit: Unit of the costs. Multiply-adds are counted. Milliseconds are those of the newest
            evaluation in the run that measured these weights at this precision on this machine.

    Raises:
        PolicyError: There is no such evaluation.
    """
    source = session.source
    if unit == "macs":
        size = session.preprocessing.view.size
        return Costs(
            values=tuple(float(macs) for macs in source.complexity.macs),
            unit="macs",
            source=f"true multiply-adds of {source.config.model} at {size} × {size}",
        )
    wanted, here = str(session.precision), describe_machine()
    evaluations = source.results().glob("evaluation*.json")
    for path in sorted(evaluations, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        evaluation = Evaluation.read(path)
        timing = evaluation.timing
        if timing is None or evaluation.run.weights_sha256 != source.weights_sha256:
            continue
        if timing.precision == wanted and timing.machine == here:
            times = {row.exit: row.time for row in evaluation.rows if row.kind == "exit"}
            return measured_costs(
                [time.ms for _, time in sorted(times.items()) if time is not None],
                f"{path.name}: {wanted}, {timing.threads} threads, {here['processor']}",
            )
    raise PolicyError(
        f"{source.path} has no times of its exits measured on this machine with {wanted}: measure "
        f"them with `endoexit evaluate {source.path} --role val`, or count multiply-adds."
    )


def measured_costs(times: Sequence[float], source: str) -> Costs:
    """Return measured times of the exits as costs.

    The work of an exit includes that of all exits before it, so true times rise. On a busy machine
    measured times can fall from one exit to the next. They are then replaced by the nearest values
    that do not fall (isotonic regression), and the source says so.

    Args:
        times: Milliseconds (M,).
        source: Words for how and where they were measured.
    """
    rising = isotonic_regression(times).x
    if not np.array_equal(rising, times):
        measured = ", ".join(f"{time:.3g}" for time in times)
        source += f"; a busy machine: {measured} ms as measured"
    return Costs(values=tuple(rising.tolist()), unit="ms", source=source)


def require_unseen(source: Source, cohort: Cohort) -> None:
    """Refuse images that trained the network of a run, or chose its epoch.

    The run's own manifest gives each group one role; images of another manifest are compared
    with it by content, and with those of its teacher and starting weights. A run without a
    manifest (imported weights), or a bundle, cannot be checked.

    Raises:
        DataError: There are such images; the message counts them and names one.
    """
    try:
        own = source.manifest()
    except RunError:
        return
    learnt = learnt_from(source).values() if isinstance(source, Run) else ()
    by_hash = {manifest.sha256: manifest for manifest in (own, *learnt)}
    used = [
        manifest.root / row.path
        for manifest in by_hash.values()
        for row in manifest.rows
        if row.role in LEARNT_FROM
    ]
    # Only files of the same size can have the same content: few need to be read.
    files = {image.path: index for index, image in enumerate(cohort.images)}
    sizes = {path.stat().st_size for path in files}
    contents = {sha256_file(path) for path in used if path.stat().st_size in sizes}
    sizes = {path.stat().st_size for path in used}
    alike = (path for path in files if path.stat().st_size in sizes)
    seen = [path for path in alike if sha256_file(path) in contents]
    if seen:
        raise DataError(
            f"{counted(len(seen), 'image')} of the role {cohort.role!r} trained this network or "
            f"chose its epoch (such as {cohort.mention(files[seen[0]])}): what they show does not "
            "hold for new images. Use a manifest of other images, or the run's own."
        )
