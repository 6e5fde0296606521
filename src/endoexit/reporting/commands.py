"""The command lines that make the results of a report again."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from endoexit.artifacts.source import Source
from endoexit.evaluation.document import Evaluation
from endoexit.policy import ExitPolicy, threshold_policy
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.precision import Precision
from endoexit.reporting.material import Step
from endoexit.reporting.words import in_print

MANIFEST, TWIN = "MANIFEST", "TWIN"  # stand for paths that were not kept


def steps(
    source: Source, evaluation: Evaluation, file: Path, policy: ExitPolicy | None
) -> tuple[Step, ...]:
    """Return the commands from images to an evaluation, in order.

    Args:
        source: Run or bundle that was evaluated.
        evaluation: Evaluation of it.
        file: File of the evaluation.
        policy: Policy that was evaluated.
    """
    made = []
    if source.config.command:
        makes = f"{source.makes} (as it was run)"
        made.append(Step(source.config.command, makes, trains=True))
    if policy is not None and policy.goal is not None and source.calibrates:
        made.append(_calibrate_step(source, policy))
    remarks = [f"{file.name}, logits"]
    if _needs_manifest(source, evaluation.manifest_sha256):
        remarks.append(_of_manifest(evaluation.manifest_sha256))
    if evaluation.twin is not None:
        twin = evaluation.twin
        remarks.append(f"{TWIN} is the run of {twin.model}, weights {twin.weights_sha256[:12]}")
    made.append(Step(evaluate_command(source, evaluation, file), "; ".join(remarks)))
    return tuple(made)


def evaluate_remedy(source: Source) -> str:
    """Return the plain command that evaluates a run or a bundle."""
    words = ["evaluate", str(source.path)]
    return _line([*words, "--manifest", MANIFEST] if source.manifest_file is None else words)


def evaluate_command(source: Source, evaluation: Evaluation, file: Path) -> str:
    """Return the command that makes an evaluation again; MANIFEST and TWIN stand for paths."""
    words = ["evaluate", str(source.path)]
    if evaluation.role != "test":
        words += ["--role", evaluation.role]
    if evaluation.adaptive is not None:
        threshold = _shared_threshold(evaluation.adaptive.policy)
        words += [] if threshold is None else ["--threshold", repr(threshold)]
    if evaluation.twin is not None:
        words += ["--against", TWIN]
    for foreign in evaluation.foreign or ():  # the name of the folder stands for its path
        words += ["--foreign", foreign.name]
    if _needs_manifest(source, evaluation.manifest_sha256):
        words += ["--manifest", MANIFEST]
    timing = evaluation.timing
    words += ["--no-timing"] if timing is None else ["--threads", str(timing.threads)]
    words += _precision(source, evaluation.run.precision)
    if file.parent.resolve() != source.results().resolve():
        words += ["--out", str(file.parent)]
    return _line(words)


def calibrate_command(source: Source, policy: ExitPolicy) -> str | None:
    """Return the command that finds a policy again; None where the request was not kept."""
    if policy.request is None:
        return None
    goal, rules = policy.request.goal, policy.request.rules
    words = ["calibrate", str(source.path), *_options(goal.options()), *_rules(rules)]
    if policy.costs is not None and policy.costs.unit not in (
        "ms" if goal.about_time else "macs",
        "relative",
    ):
        words += ["--cost", policy.costs.unit]
    if policy.provenance is not None:
        if _needs_manifest(source, policy.provenance.manifest_sha256):
            words += ["--manifest", MANIFEST]
        words += _precision(source, policy.provenance.precision)
    return _line(words)


def report_command(path: Path, named: Mapping[str, Path | bool | None]) -> str:
    """Return the command that makes a report again, with the options that were given."""
    words = ["report", str(path)]
    for option, value in named.items():
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            words += [f"--{option}", str(value)]
    return _line(words)


def _calibrate_step(source: Source, policy: ExitPolicy) -> Step:
    command = calibrate_command(source, policy)
    if command is None:
        goal = in_print(policy.goal or "")
        why = "an older version of endoexit made it and did not keep its command"
        return Step(None, f"policy.json: {why}. It was calibrated for the goal: {goal}.")
    fitted = policy.provenance.manifest_sha256 if policy.provenance else None
    of_manifest = f"; {_of_manifest(fitted)}" if fitted and _needs_manifest(source, fitted) else ""
    return Step(command, f"policy.json{of_manifest}")


def _needs_manifest(source: Source, sha256: str | None) -> bool:
    """Tell whether a command must name the manifest: the run's own is found without."""
    if sha256 is None:
        return False
    return source.manifest_file is None or source.config.manifest_sha256 != sha256


def _of_manifest(sha256: str) -> str:
    return f"{MANIFEST} is the manifest of SHA-256 {sha256[:12]}…"


def _precision(source: Source, computed: str) -> list[str]:
    """Return the options without which a source would compute in something else."""
    precision = Precision.parse(computed)
    default = source.computes[0].floats
    words = [] if precision.floats == default else ["--precision", precision.floats]
    return words if precision.device == "cpu" else [*words, "--device", precision.device]


def _shared_threshold(policy: ExitPolicy) -> float | None:
    """Return the threshold of a policy that `--threshold` makes; None for any other."""
    rule = policy.rule
    if not isinstance(rule, ThresholdRule) or not rule.thresholds or rule.thresholds[0] is None:
        return None
    threshold = rule.thresholds[0]
    return threshold if policy == threshold_policy(policy.num_exits, threshold) else None


def _rules(rules: RuleOptions) -> list[str]:
    """Return the options that differ from those of a plain calibration."""
    plain = RuleOptions()
    chosen = {
        name: getattr(rules, name)
        for name in ("rule", "thresholds", "candidates", "refer_unlike", "unlike_by")
        if getattr(rules, name) != getattr(plain, name)
    }
    return [*_options(chosen), *([] if rules.temperature_scaling else ["--no-temperature"])]


def _options(values: Mapping[str, float | str | tuple[str, ...]]) -> list[str]:
    """Return names and values as options; one with several values is repeated."""
    words = []
    for name, value in values.items():
        for item in value if isinstance(value, tuple) else (value,):
            words += [f"--{name.replace('_', '-')}", str(item)]
    return words


def _line(words: Iterable[str]) -> str:
    return shlex.join(["endoexit", *words])
