"""The command lines that make the results of a report again."""

import re
import shlex
from pathlib import Path

from endoexit.evaluation.records import Evaluation
from endoexit.policy import ExitPolicy

_NUMBER = r"(\S+)"
_GOALS = (
    (rf"mean cost <= {_NUMBER} milliseconds", "--max-ms {}"),
    (rf"mean cost <= {_NUMBER} multiply-adds", "--max-macs {}"),
    (rf"mean cost <= {_NUMBER} of the whole network", "--mean-exit-cost {}"),
    (rf"accuracy >= final exit - {_NUMBER}", "--max-accuracy-drop {}"),
    (rf"accuracy >= {_NUMBER}", "--min-accuracy {}"),
    (rf"the last exit within {_NUMBER} ms", "--deadline-ms {}"),
    (r"(\d+) images in (\S+) s", "--budget '{} images, {} seconds'"),
)


def evaluate_command(run: Path, evaluation: Evaluation) -> str:
    """Return the command that makes an evaluation again; TWIN stands for the twin's folder."""
    words = ["endoexit", "evaluate", shlex.quote(str(run))]
    if evaluation.role != "test":
        words += ["--role", evaluation.role]
    if evaluation.adaptive is not None:
        threshold = _shared_threshold(evaluation.adaptive.policy)
        words += [] if threshold is None else ["--threshold", f"{threshold:g}"]
    if evaluation.twin is not None:
        words += ["--against", "TWIN"]
    timing = evaluation.timing
    words += ["--no-timing"] if timing is None else ["--threads", str(timing.threads)]
    if evaluation.run.precision.endswith("bf16"):
        words += ["--precision", "bf16"]
    if "cuda" in evaluation.run.precision:
        words += ["--device", "cuda"]
    return " ".join(words)


def _shared_threshold(policy: dict[str, object]) -> float | None:
    """Return the threshold of a policy that was typed by hand; None for one that was found."""
    thresholds = policy.get("thresholds")
    if policy.get("provenance") is not None or not isinstance(thresholds, list | tuple):
        return None
    return float(thresholds[0]) if thresholds else None


def calibrate_command(run: Path, policy: ExitPolicy) -> str | None:
    """Return the command that finds a policy again, by its goal; None for one typed by hand."""
    goal = None if policy.goal is None else goal_options(policy.goal)
    if goal is None:
        return None
    words = ["endoexit", "calibrate", shlex.quote(str(run)), goal]
    if policy.rule not in ("max_probability", "fixed"):
        words += ["--rule", policy.rule]
    if policy.costs is not None and policy.costs.unit == "ms" and "--max-ms" not in goal:
        words += ["--cost", "ms"]
    if policy.provenance is not None and policy.provenance.precision.endswith("bf16"):
        words += ["--precision", "bf16"]
    return " ".join(words)


def goal_options(goal: str) -> str | None:
    """Return a goal in words as the options of `endoexit calibrate`; None for an unknown one."""
    for pattern, option in _GOALS:
        match = re.fullmatch(pattern, goal)
        if match:
            return option.format(*match.groups())
    match = re.fullmatch(r"(.+) with probability (\S+)", goal)
    if not match:
        return None
    try:
        delta = 1 - float(match[2])
    except ValueError:
        return None
    risks = " ".join(f"--guarantee {shlex.quote(risk)}" for risk in match[1].split(" and "))
    return f"{risks} --delta {delta:.6g}"
