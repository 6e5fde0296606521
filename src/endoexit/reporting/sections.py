"""What the page says in words: the terms, cautions, rules and roles of the images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import LICENCE, SOURCE, sidecar_path
from endoexit.errors import counted, some
from endoexit.evaluation.document import FALLING
from endoexit.reporting.classes import row_title
from endoexit.reporting.material import Absent, Material
from endoexit.reporting.words import by_the_clock, in_print


def licence(material: Material) -> str:
    """Return what is known of the terms of the images; commands are between backticks."""
    if material.synthetic:
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
        return f"The terms of the images are not known here. {check}"
    terms, origin = (_text(split.get(name)) for name in (LICENCE, SOURCE))
    came = f" The images come from: {origin}" if origin else ""
    if terms:
        return terms + came
    file = sidecar_path(material.path / MANIFEST)
    return (
        f"The manifest does not give the terms of the images. {check} To have them named "
        f'here, write `"{LICENCE}": "…"` into `{file}`; for a new manifest '
        f"`endoexit split FOLDER --licence TEXT` does it.{came}"
    )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


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
        yield f"From the policy’s calibration: {material.policy.note}"
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
    """Return which exits no image takes."""
    adaptive = material.evaluation.adaptive
    if adaptive is None:
        return None
    names = [
        material.exit_name(number)
        for number, share in enumerate(adaptive.shares, start=1)
        if share == 0
    ]
    return f"No image exits at {some(names, 8)}." if names else None


def policy_rule(material: Material) -> list[str]:
    """Return, for each exit, when an image exits there, and when it is referred."""
    policy = material.policy
    if policy is None:
        return []
    conditions = [
        f"{material.exit_name(number)}: {in_print(condition)}"
        for number, condition in enumerate(policy.conditions(), start=1)
    ]
    referred = policy.referral.words if policy.referral else ()
    refers = [f"referred to a human as {in_print(words)}" for words in referred]
    return [*conditions, *refers, *by_the_clock(policy)]


def kept_apart(split: dict[str, Any] | Absent) -> str:
    """Return what is known of images that are alike but have different roles.

    Args:
        split: Sidecar of the manifest.
    """
    facts = {} if isinstance(split, Absent) else split
    options = facts.get("options")
    if not isinstance(options, dict) or "groups" not in options:
        return "Nothing here says whether images of one patient are on both sides."
    if options.get("accept_leak") and facts.get("leak"):
        return "Near-copies were not kept apart: the folders that were given leak."
    if table := _groups_table(options):
        return (
            f"Near-copies were kept apart, and so were the groups that {table} gives; only its "
            "author knows whether they are whole patients."
        )
    return (
        "Near-copies were kept apart; the split was given no names of patients or videos, so "
        "images of one patient may still be on both sides."
    )


def _groups_table(options: dict[str, Any]) -> str:
    """Return the table of groups that a split was given, in words; empty where there was none."""
    if not isinstance(options.get("groups"), str):
        return ""
    name, column = Path(options["groups"]).name, options.get("group_column")
    return f"column {column} of {name}" if column else name


def split_facts(split: dict[str, Any]) -> list[str]:
    """Return how the images were divided, and what was dropped."""
    lines = []
    if isinstance(split.get("made_by"), str):
        seed = f", seed {split['seed']}" if "seed" in split else ""
        lines.append(f"Roles given by {split['made_by']}{seed}; no group has two roles.")
    if "threshold_bits" in split:
        lines.append(
            f"Near-copies of up to {split['threshold_bits']} of 256 bits are in one group."
        )
    options = split.get("options")
    if isinstance(options, dict) and (table := _groups_table(options)):
        lines.append(f"The groups that {table} gives stayed whole as well.")
    dropped = split.get("left_out")
    if isinstance(dropped, dict):
        words = {
            "broken": "that cannot be read",
            "different_labels": "near-copies with different labels",
            "identical_copies": "identical to one that is kept",
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
