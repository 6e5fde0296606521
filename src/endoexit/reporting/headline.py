"""The top of the page: its title, and the few figures that a reader takes away."""

from dataclasses import dataclass

from endoexit.errors import counted
from endoexit.evaluation.document import PromiseShown, Time
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.figures import (
    percent,
    percent_with_interval,
    points_with_interval,
    significant,
)
from endoexit.evaluation.promise_tables import verdict
from endoexit.policy.goals import probability_words
from endoexit.reporting.material import Material
from endoexit.reporting.words import in_print


@dataclass(frozen=True)
class Tile:
    """One figure of the headline.

    Attributes:
        label: Name of the figure.
        value: Figure itself, as text.
        detail: Interval and what else the figure must be read with.
        warn: Whether it is bad news.
    """

    label: str
    value: str
    detail: str
    warn: bool = False


def title(material: Material) -> str:
    """Return the heading of the page: the folder, with the network where that does not name it."""
    name, model = material.path.resolve().name, material.evaluation.run.model
    asked = name if model in name else f"{name}: {model}"
    images = "synthetic images" if material.synthetic else f"{material.evaluation.role} images"
    return f"{asked} on {images}"


def origin(material: Material) -> str:
    """Return what decides where images exit, and where it comes from, as a sentence."""
    adaptive, policy = material.evaluation.adaptive, material.policy
    if adaptive is None:
        return f"Every image is answered by {material.evaluation.decided_by}."
    source = in_print(adaptive.origin)
    file, colon, goal = source.partition(": ")
    if colon and policy is not None and policy.goal is not None:
        return f"The policy comes from {file} and was calibrated for the goal: {goal}."
    return f"The policy: {source}."


def headline(material: Material) -> list[Tile]:
    """Return the figures at the top of the page."""
    evaluation = material.evaluation
    final, answers = evaluation.row("final"), evaluation.row(material.answers)
    if evaluation.adaptive is None:
        macs = f"{significant(final.macs / 1e9)} G multiply-adds"
        time = f"{significant(final.time.ms)} ms, " if final.time else ""
        return [
            Tile(
                "accuracy",
                f"{percent(final.scores.accuracy.value)} %",
                f"{_interval(final.scores.accuracy)}; {time}{macs} an image",
            )
        ]
    gap = in_print(points_with_interval(answers.beside_final))
    tiles = [
        Tile(
            "accuracy of the policy",
            f"{percent(answers.scores.accuracy.value)} %",
            f"{_interval(answers.scores.accuracy)}; final exit "
            f"{percent(final.scores.accuracy.value)} %, difference {gap} points",
        )
    ]
    if answers.time and final.time:
        tiles.append(_time(answers.time, final.time, trusted=not evaluation.times_fall))
    tiles.append(
        Tile(
            "multiply-adds of an image",
            _saved(answers.macs, final.macs),
            f"{significant(answers.macs / 1e9)} G under the policy, "
            f"{significant(final.macs / 1e9)} G to the final exit",
        )
    )
    tiles += [_promise(shown, evaluation.role) for shown in evaluation.adaptive.promises]
    if not evaluation.adaptive.promises:
        tiles.append(
            Tile(
                "promise",
                "none",
                "Nothing was proven of this policy; see its goal below.",
            )
        )
    return tiles


def _time(policy: Time, final: Time, *, trusted: bool) -> Tile:
    label = "time of an image"
    if not trusted:
        return Tile(
            label,
            "not known",
            "A later exit was measured to be quicker than an earlier one, so the machine was busy "
            "and no saving can be told. Evaluate again when it is not.",
            warn=True,
        )
    detail = f"{significant(policy.ms)} ms under the policy, {significant(final.ms)} ms to the "
    return Tile(label, _saved(policy.ms, final.ms), f"{detail}final exit")


def _interval(estimate: Estimate) -> str:
    if estimate.interval is None:
        return "no interval"
    return f"95 % interval {percent(estimate.interval.low)} to {percent(estimate.interval.high)}"


def _saved(cost: float, whole: float) -> str:
    share = 100 * (1 - cost / whole)
    return f"{share:.0f} % saved" if share >= 0 else f"{-share:.0f} % more"


def _promise(shown: PromiseShown, role: str) -> Tile:
    promise = shown.promise
    label = f"promise: {promise.words}".replace("<=", "≤").replace(">=", "≥")
    if shown.kept is None:
        return Tile(label, verdict(None), f"The promise is about none of the {role} images.")
    return Tile(
        label,
        verdict(shown.kept),
        f"{role} shows {percent_with_interval(shown.as_named)} % in "
        f"{counted(shown.units, promise.unit)}; promised with probability "
        f"{probability_words(promise.delta)}",
        warn=not shown.kept,
    )
