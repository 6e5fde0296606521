"""The model card of a bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from endoexit.artifacts.bundle_document import BundleConfig, ExitFacts
from endoexit.artifacts.source import CARD
from endoexit.evaluation.figures import percent, points
from endoexit.evaluation.tables import MACS, PARAMETERS
from endoexit.files import write_text
from endoexit.policy import ExitPolicy
from endoexit.policy.promises import promise_words
from endoexit.precision import Precision
from endoexit.tables import Column, Table


def write_bundle_card(
    folder: Path, config: BundleConfig, policies: dict[Precision, ExitPolicy], run: Path
) -> Path:
    """Write `model_card.md`: what the bundle computes, what it keeps, and what it is not.

    What the network was trained on follows from the card of the run, if there is one.
    """
    lines = [
        f"# Model card: {config.model}, {config.backend} {config.precision}",
        "",
        "**Research use only. Not a medical device.** Not validated for diagnosis; do not base a",
        "decision about a patient on it.",
        "",
        "## Use",
        "",
        "    endoexit predict BUNDLE images/ --out answers.csv",
        "",
        f"- Input: RGB images; after preprocessing, {config.preprocessing.words}.",
        f"- Classes ({len(config.classes)}): {', '.join(config.classes)}",
        f"- Computes in: {', '.join(map(str, config.computes))}",
        *float_layer_lines(config),
        f"- Made by: `{config.command}`",
        f"- Weights of the run: SHA-256 `{config.run_weights_sha256}`",
        "",
        "## Exits",
        "",
        exit_table(config).markdown(),
        "",
        "## Exit policy",
        "",
        *_policy_lines(policies),
        "",
        "## Made with",
        "",
        ", ".join(f"{name} {version}" for name, version in config.versions.items()),
        "",
        f"Machine: {config.machine.get('processor', 'unknown')}, "
        f"{config.machine.get('cores', '?')} cores.",
        "",
    ]
    card = run / CARD
    if card.is_file():
        lines += ["---", "", card.read_text(encoding="utf-8").replace("# Model card", "# The run")]
    path = folder / CARD
    write_text(path, "\n".join(lines))
    return path


def exit_table(config: BundleConfig) -> Table:
    """Return what each exit of a bundle costs, and what the export changed of its accuracy."""
    last = len(config.exits)
    names = [*(f"exit {number}" for number in range(1, last)), "final"]
    columns: dict[Column, Callable[[tuple[str, ExitFacts]], Any]] = {
        Column("exit"): lambda item: item[0],
        MACS: lambda item: item[1].macs / 1e9,
        PARAMETERS: lambda item: item[1].parameters / 1e6,
        Column("of the run", "%", percent): lambda item: item[1].accuracy_before,
        Column("exported", "%", percent): lambda item: item[1].accuracy,
        Column("change", "points", points): lambda item: _change(item[1]),
    }
    return Table.of(
        f"{config.model}, {config.backend} {config.precision}; accuracy on calibrate",
        columns,
        zip(names, config.exits, strict=True),
        (
            "The images with the role calibrate also chose temperatures and thresholds: they show "
            "what the export changed, not what new images will show.",
        ),
    )


def float_layer_lines(config: BundleConfig) -> list[str]:
    """Return which layers of an int8 bundle compute in floating point, as one line or none."""
    if config.precision != "int8":
        return []
    layers = ", ".join(f"`{name}`" for name in config.float_layers) or "none"
    return [f"- Layers left in floating point: {layers}"]


def _change(facts: ExitFacts) -> float | None:
    if facts.accuracy is None or facts.accuracy_before is None:
        return None
    return facts.accuracy - facts.accuracy_before


def _policy_lines(policies: dict[Precision, ExitPolicy]) -> list[str]:
    if not policies:
        return ["None: without a threshold, every image goes to the last exit."]
    lines = []
    for name, policy in policies.items():
        lines.append(f"- {name}: {policy.goal}")
        lines += [f"  - promise: {promise_words(promise)}" for promise in policy.promises]
        if policy.referral is not None:
            lines += [f"  - referred to a human as {words}" for words in policy.referral.words]
        if policy.note:
            lines.append(f"  - {policy.note}")
    return lines
