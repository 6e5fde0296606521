"""From a run and a goal to `policy.json`: logits of its roles, costs of its exits, the policy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression

from endoexit.artifacts.bundle import Source, results_folder
from endoexit.artifacts.run import Run
from endoexit.data.manifest import Cohort, Manifest
from endoexit.errors import DataError, PolicyError, RunError, counted
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.logits import RoleLogits, collect_logits
from endoexit.files import sha256_file
from endoexit.machine import describe_machine
from endoexit.policy.document import Costs
from endoexit.policy.goals import Goal, Guarantee
from endoexit.policy.options import RuleOptions
from endoexit.policy.search import DEFAULT_RULE, PolicyResult, find_policy
from endoexit.precision import Device, FloatFormat
from endoexit.progress import Track, silent
from endoexit.runtime.session import POLICY, computed_in, served_provenance

CostUnit = Literal["macs", "ms"]


@dataclass(frozen=True)
class CalibrationOptions:
    """How a policy is found.

    Attributes:
        rules: Policies that are tried.
        cost: Cost of an image at each exit: true multiply-adds, or the milliseconds that an
            evaluation measured on this machine. None takes what the goal is about, and
            multiply-adds where it is about neither.
        precision: Floats that the network computes in, now and when the policy is used.
        device: Device that computes the logits.
        cache: Folder of decoded images; by default the user's.
        out: Folder to keep logits in; by default see `endoexit.artifacts.bundle.results_folder`.
    """

    rules: RuleOptions = DEFAULT_RULE
    cost: CostUnit | None = None
    precision: FloatFormat | None = None
    device: Device = "cpu"
    cache: Path | None = None
    out: Path | None = None


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


def calibrate_run(
    run: Run,
    goal: Goal,
    options: CalibrationOptions = DEFAULTS,
    *,
    manifest: Manifest | None = None,
    track: Track = silent,
) -> Calibrated:
    """Find the policy for a goal and write `policy.json` into the run; see `find_run_policy`."""
    result = find_run_policy(run, goal, options, manifest=manifest, track=track)
    path = run.path / POLICY
    result.policy.write(path)
    return Calibrated(result, path)


def find_run_policy(
    run: Source,
    goal: Goal,
    options: CalibrationOptions = DEFAULTS,
    *,
    manifest: Manifest | None = None,
    costs: Costs | None = None,
    track: Track = silent,
) -> PolicyResult:
    """Find the policy of a run or a bundle for a goal, and leave what it has as it is.

    Temperatures and candidates come from the role calibrate; a guarantee is proven on the role
    certify. The policy can serve only these weights, preprocessing, classes and precision.

    Args:
        run: Run or bundle with weights.
        goal: See `endoexit.policy.goals.make_goal`.
        options: See `CalibrationOptions`.
        manifest: Manifest in place of the run's own.
        costs: Costs of its exits, where they are known; else see `exit_costs`.
        track: What shows progress.

    Raises:
        RunError: The run has no weights or no manifest.
        DataError: No image has the role, images cannot be read, or they took part in training.
        PolicyError: No policy meets the goal, certify is too small, or costs are missing.
        UsageError: An option that does not fit, or a class that does not exist.
    """
    costs = costs or exit_costs(run, options.cost or ("ms" if goal.about_time else "macs"), options)
    manifest = manifest or run.manifest()
    roles = ("calibrate", "certify") if isinstance(goal, Guarantee) else ("calibrate",)
    for role in roles:
        require_unseen(run, manifest.cohort(role))
    logits = [_logits(run, role, manifest, options, track) for role in roles]
    sets = [found.as_set() for found in logits]
    result = find_policy(
        goal,
        calibrate=sets[0],
        certify=sets[1] if len(sets) == 2 else None,
        costs=costs,
        classes=run.classes,
        options=options.rules,
    )
    served = served_provenance(run, logits[0].precision, manifest.sha256)
    return replace(result, policy=result.policy.replaced(provenance=served))


def _logits(
    run: Source, role: str, manifest: Manifest, options: CalibrationOptions, track: Track
) -> RoleLogits:
    return collect_logits(
        run,
        role,
        precision=options.precision,
        device=options.device,
        manifest=manifest,
        cache=options.cache,
        out=options.out,
        track=track,
    )


def exit_costs(run: Source, unit: CostUnit, options: CalibrationOptions = DEFAULTS) -> Costs:
    """Return what an image costs that exits at each exit of a run.

    Args:
        run: Run with weights.
        unit: Unit of the costs. Multiply-adds are counted; milliseconds are those of the newest
            evaluation in the run that measured these weights at this precision on this machine.
        options: Options, for the precision.

    Raises:
        PolicyError: No such evaluation.
    """
    config = run.config
    if unit == "macs":
        size = config.preprocessing.size
        return Costs(
            values=tuple(float(macs) for macs in config.network.complexity.macs),
            unit="macs",
            source=f"true multiply-adds of {config.model} at {size} × {size}",
        )
    wanted = computed_in(run, options.precision)
    for path in _newest_first(results_folder(run.path).glob("evaluation*.json")):
        found = Evaluation.read(path)
        timing = found.timing
        if timing is None or found.run.weights_sha256 != run.weights_sha256:
            continue
        here = describe_machine()
        if timing.precision == str(wanted) and timing.machine == here:
            times = {row.exit: row.time for row in found.rows if row.kind == "exit"}
            return measured_costs(
                [time.ms for _, time in sorted(times.items()) if time is not None],
                f"{path.name}: {timing.precision}, {timing.threads} threads, {here['processor']}",
            )
    raise PolicyError(
        f"{run.path} has no times of its exits measured on this machine with {wanted}: measure "
        f"them with `endoexit evaluate {run.path} --role val`, or count multiply-adds."
    )


def measured_costs(times: Sequence[float], source: str) -> Costs:
    """Return measured times of the exits as costs.

    An exit's work holds that of all exits before it, so true times rise; on a busy machine
    measured ones can fall from one exit to the next. Those get the values nearest to them that
    do not (isotonic regression), and the source says so.

    Args:
        times: Milliseconds (M,).
        source: How and where they were measured.
    """
    rising = isotonic_regression(times).x
    if not np.array_equal(rising, times):
        measured = ", ".join(f"{time:.3g}" for time in times)
        source += f"; a busy machine: {measured} ms as measured"
    return Costs(values=tuple(rising.tolist()), unit="ms", source=source)


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def require_unseen(run: Source, cohort: Cohort) -> None:
    """Refuse images that trained the network of a run, or chose its epoch.

    The run's own manifest gives each group one role; images of another manifest are compared
    with it by content. A run without a manifest (imported weights), or a bundle, cannot be checked.

    Raises:
        DataError: Names an image and counts them.
    """
    try:
        own = run.manifest()
    except RunError:
        return
    used = [own.root / row.path for row in own.rows if row.role in ("train", "val")]
    # Only files of the same size can have the same content: few need to be read.
    files = dict.fromkeys(image.path for image in cohort.images)
    sizes = {path.stat().st_size for path in files}
    contents = {sha256_file(path) for path in used if path.stat().st_size in sizes}
    sizes = {path.stat().st_size for path in used}
    alike = (path for path in files if path.stat().st_size in sizes)
    seen = [path for path in alike if sha256_file(path) in contents]
    if seen:
        raise DataError(
            f"{counted(len(seen), 'image')} of the role {cohort.role!r} trained this network or "
            f"chose its epoch (such as {seen[0]}): what they show does not hold for new images. "
            "Use a manifest of other images, or the run's own."
        )
