"""The model card that a training writes at its end."""

from pathlib import Path

from endoexit.data.manifest import Manifest
from endoexit.files import write_text
from endoexit.runs import Run

CARD = "model_card.md"


def write_training_card(
    run: Run, manifest: Manifest, history: list[dict[str, float]], best_epoch: int
) -> Path:
    """Write `model_card.md`: what the model is, from which images, and what it is not."""
    config = run.config
    counts = manifest.counts()
    roles = list(counts)
    side = config.preprocessing.size
    stretched = config.preprocessing.resize == "stretch"
    lines = [
        f"# Model card: {config.model}",
        "",
        "**Research use only. Not a medical device.** Not validated for diagnosis; do not base a",
        "decision about a patient on it.",
        "",
        "## Model",
        "",
        f"- Network: `{config.model}`"
        + (f", changed: {config.overrides}" if config.overrides else ""),
        f"- Input: RGB, {side}×{side} pixels, "
        + ("the whole image stretched" if stretched else "cropped at the centre"),
        f"- Classes ({len(config.classes)}): {', '.join(config.classes)}",
        f"- Training precision: {config.precision}; seed {config.seed}",
        f"- Made by: `{config.command}`",
        "",
        "## Images",
        "",
        f"Manifest SHA-256 `{manifest.sha256}`. Images per class and role; a group (patient, video",
        "or near-copies) has one role:",
        "",
        "| class | " + " | ".join(roles) + " |",
        "|---|" + "---:|" * len(roles),
        *(
            f"| {name} | " + " | ".join(str(counts[role][name]) for role in roles) + " |"
            for name in config.classes
        ),
        "",
        "## Training",
        "",
        f"{len(history)} epochs; the weights are those of epoch {best_epoch}"
        + (", chosen on the val role." if manifest.has("val") else ", the last (no val role)."),
        "Accuracy on val chose the epoch and is therefore optimistic; the figures that count are",
        "those of `endoexit evaluate` on the test role.",
        "",
        "## Versions",
        "",
        ", ".join(f"{name} {version}" for name, version in config.versions.items()),
        "",
        f"Machine: {config.machine.get('processor', 'unknown')}, "
        f"{config.machine.get('cores', '?')} cores.",
        "",
    ]
    path = run.path / CARD
    write_text(path, "\n".join(lines))
    return path
