"""`endoexit.calibrate`: the exit policy for a goal, and the proof of what it promises."""

from pathlib import Path

from endoexit.artifacts.run import open_run
from endoexit.evaluation.fitting import (
    DEFAULTS,
    Calibrated,
    CalibrationOptions,
    CostUnit,
    calibrate_run,
)
from endoexit.files import optional_path
from endoexit.policy.goals import Goal
from endoexit.policy.options import RuleOptions
from endoexit.precision import Device, FloatFormat
from endoexit.progress import Track, silent
from endoexit.runtime.session import open_session


def calibrate(
    run: str | Path,
    goal: Goal,
    *,
    rules: RuleOptions = DEFAULTS.rules,
    cost: CostUnit | None = None,
    manifest: str | Path | None = None,
    precision: FloatFormat | None = None,
    device: Device = "cpu",
    cache: str | Path | None = None,
    track: Track = silent,
) -> Calibrated:
    """Find the exit policy for one goal and write `policy.json` into the run.

    Temperatures and thresholds come from the images with the role calibrate. A guarantee is proven
    on images with the role certify: with probability 1 − delta it holds for new images from the
    same source. If no policy keeps it, every image uses the final exit (`policy.fell_back`).

    Args:
        run: Run folder of `endoexit.train`.
        goal: Goal, from `endoexit.make_goal`.
        rules: Policies that are tried.
        cost: Unit of costs: "macs", or "ms", which needs times that `endoexit.evaluate` measured.
            By default what the goal is about.
        manifest: Manifest to take the images from. By default the run's.
        precision: "f32" or "bf16". By default "f32".
        device: "cpu", or "cuda" where there is a GPU.
        cache: Folder of decoded images. By default the user's cache.
        track: Display of progress. By default none.

    Returns:
        The policy, how it was found, and its file.

    Raises:
        RunError: The run has no weights or no manifest.
        DataError: No image has the role, images cannot be read, or they took part in training.
        PolicyError: No policy meets the goal, certify is too small, or costs are missing.
        UsageError: Options that do not fit together, or a class that does not exist.
    """
    session = open_session(
        open_run(Path(run)),
        precision=precision,
        device=device,
        manifest=optional_path(manifest),
        cache=optional_path(cache),
        track=track,
    )
    return calibrate_run(session, goal, CalibrationOptions(rules, cost))
