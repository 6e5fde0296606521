"""What the page says in words: about itself, the headline, the roles of the images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from endoexit.data.manifest import LICENCE, SOURCE, sidecar_path
from endoexit.data.phantom import is_phantom
from endoexit.errors import counted
from endoexit.evaluation.figures import percent_with_interval
from endoexit.evaluation.records import FALLING, Estimate, PromiseShown
from endoexit.report.classes import row_title
from endoexit.report.material import Absent, Material
from endoexit.report.words import (
    by_the_clock,
    percent,
    points,
    significant,
    some,
)
from endoexit.runs import MANIFEST


@dataclass(frozen=True)
class Tile:
    """One figure of the headline.

    Attributes:
        label: what it is.
        value: the figure.
        detail: what it must be read with.
        warn: it is bad news.
    """

    label: str
    value: str
    detail: str
    warn: bool = False


def licence(material: Material) -> str:
    """Return what is known of the terms of the images; commands stand between backticks."""
    if not isinstance(material.images, Absent) and is_phantom(material.images):
        return (
            "The images are a phantom: rendered by endoexit itself, of no patient. They are free "
            "to use, and say nothing about what a network does on real images."
        )
    split = material.split
    check = (
        "Check them where the images come from before you pass on this page, which shows some of "
        "them, or the weights."
    )
    if isinstance(split, Absent):
        return f"Nothing here says under which terms the images stand. {check}"
    terms, origin = (_text(split.get(name)) for name in (LICENCE, SOURCE))
    came = f" The images come from: {origin}" if origin else ""
    if terms:
        return terms + came
    file = sidecar_path(material.path / MANIFEST)
    return (
        f"The manifest does not say under which terms the images stand. {check} To have them named "
        f'here, write `"{LICENCE}": "…"` into `{file}`; for a new manifest '
        f"`endoexit split FOLDER --licence TEXT` does it.{came}"
    )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def headline(material: Material) -> list[Tile]:
    """Return the figures at the top of the page."""
    evaluation = material.evaluation
    final, answers = evaluation.row("final"), evaluation.row(material.answers)
    if evaluation.adaptive is None:
        macs = f"{final.macs / 1e9:.3g} G multiply-adds"
        time = f"{significant(final.time.ms)} ms, " if final.time else ""
        return [
            Tile(
                "accuracy",
                f"{percent(final.scores.accuracy.value)} %",
                f"{_interval(final.scores.accuracy)}; {time}{macs} an image",
            )
        ]
    gap = points(answers.beside_final)
    tiles = [
        Tile(
            "accuracy of the policy",
            f"{percent(answers.scores.accuracy.value)} %",
            f"{_interval(answers.scores.accuracy)}; final exit "
            f"{percent(final.scores.accuracy.value)} %, difference {gap} points",
        )
    ]
    if answers.time and final.time:
        tiles.append(
            Tile(
                "time of an image",
                _saved(answers.time.ms, final.time.ms),
                f"{significant(answers.time.ms)} ms under the policy, "
                f"{significant(final.time.ms)} ms to the final exit",
            )
        )
    tiles.append(
        Tile(
            "multiply-adds of an image",
            _saved(answers.macs, final.macs),
            f"{answers.macs / 1e9:.3g} G under the policy, {final.macs / 1e9:.3g} G to the final "
            "exit",
        )
    )
    tiles += [_promise(shown, evaluation.role) for shown in evaluation.adaptive.promises]
    if not evaluation.adaptive.promises:
        tiles.append(
            Tile(
                "promise",
                "none",
                f"The policy is {evaluation.adaptive.origin}; nothing was proven.",
            )
        )
    return tiles


def _interval(estimate: Estimate) -> str:
    if estimate.interval is None:
        return "no interval"
    return f"95 % interval {percent(estimate.interval.low)} to {percent(estimate.interval.high)}"


def _saved(cost: float, whole: float) -> str:
    share = 100 * (1 - cost / whole)
    return f"{share:.0f} % saved" if share >= 0 else f"{-share:.0f} % more"


def _promise(shown: PromiseShown, role: str) -> Tile:
    promise = shown.promise
    label = f"promise: {promise.risk} ≤ {promise.tolerance:g}"
    if shown.kept is None:
        return Tile(label, "not seen", f"{role} has no image that it is about")
    return Tile(
        label,
        "kept" if shown.kept else "VIOLATED",
        f"{role} shows {percent_with_interval(shown.observed)} % in "
        f"{counted(shown.units, promise.unit)}; promised with probability {1 - promise.delta:g}",
        warn=not shown.kept,
    )


def cautions(material: Material) -> Iterator[str]:
    """Yield what a reader must know before believing a figure."""
    evaluation = material.evaluation
    if evaluation.caution:
        yield f"These are {evaluation.role} images: {evaluation.caution}"
    if material.policy_changed:
        yield (
            "The run’s policy.json is no longer the policy that was evaluated. This page shows the "
            f"evaluated one; run `endoexit evaluate {material.path}` for the other."
        )
    if material.policy is not None and material.policy.note:
        yield f"Of the policy’s calibration: {material.policy.note}"
    if evaluation.times_fall:
        yield FALLING
    images = len(evaluation.images.paths)
    if images < 100:
        yield f"Only {counted(images, 'image')}: the intervals are wide, and so are the doubts."


def never_answered(material: Material) -> str | None:
    """Return which classes are never answered, though they occur."""
    row = material.evaluation.row(material.answers)
    silent = [
        entry.name
        for index, entry in enumerate(row.scores.classes)
        if entry.images and not any(line[index] for line in row.scores.confusion)
    ]
    if not silent:
        return None
    return f"The {row_title(row)} never answers {some(silent, 8)}."


def absent_classes(material: Material) -> str | None:
    """Return which classes have no image here."""
    row = material.evaluation.row(material.answers)
    names = [entry.name for entry in row.scores.classes if not entry.images]
    if not names:
        return None
    return f"No {material.evaluation.role} image is of {some(names, 8)}: no sensitivity there."


def unused_exits(material: Material) -> str | None:
    """Return which exits nobody takes."""
    adaptive = material.evaluation.adaptive
    if adaptive is None:
        return None
    names = [
        material.exit_name(number)
        for number, share in enumerate(adaptive.shares, start=1)
        if share == 0
    ]
    return f"Nobody leaves at {some(names, 8)}." if names else None


def policy_rule(material: Material) -> list[str]:
    """Return, for each exit, when an image leaves there."""
    policy = material.policy
    if policy is None:
        return []
    clock = by_the_clock(policy)
    if policy.rule == "fixed":
        number = policy.exit or policy.num_exits
        if not clock:
            return [f"All images leave at {material.exit_name(number)}."]
        ends = f"Nobody goes on after {material.exit_name(number)}."
        return clock if number == policy.num_exits else [*clock, ends]
    if policy.rule == "patience":
        return [f"An image leaves when {policy.patience} consecutive exits agree.", *clock]
    names = {
        "max_probability": "largest probability",
        "entropy": "1 − normalised entropy",
        "margin": "margin of the two largest probabilities",
    }
    lines = []
    for number, threshold in enumerate(policy.thresholds, start=1):
        rule = "nobody" if threshold is None else f"{names[policy.rule]} of {threshold:.4g} or more"
        lines.append(f"{material.exit_name(number)}: {rule}")
    return [*lines, "final: everyone who is left", *clock]


def split_facts(split: dict[str, Any]) -> list[str]:
    """Return how the images were divided, and what was dropped."""
    lines = []
    if isinstance(split.get("made_by"), str):
        seed = f", seed {split['seed']}" if "seed" in split else ""
        lines.append(f"Roles given by {split['made_by']}{seed}; no group has two roles.")
    if "threshold_bits" in split:
        lines.append(
            f"Near-copies of up to {split['threshold_bits']} of 256 bits stand in one group."
        )
    dropped = split.get("left_out")
    if isinstance(dropped, dict):
        words = {
            "broken": "that cannot be read",
            "different_labels": "near-copies with different labels",
            "identical_copies": "identical to one that stays",
            "leaking": "near-copies of images in a later role",
        }
        parts = []
        for key, what in words.items():
            names = list(dropped.get(key) or ())
            if names:
                parts.append(f"{len(names)} {what} ({some(names, 3)})")
        lines.append(f"Dropped: {'; '.join(parts)}." if parts else "Nothing was dropped.")
    else:
        lines.append("The manifest does not say what was dropped; `endoexit split` writes it.")
    if isinstance(split.get("leak"), str):
        lines.append(f"The folders given leak: {split['leak']}.")
    return lines
