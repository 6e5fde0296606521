"""The model card of a bundle."""

from pathlib import Path

from endoexit.artifacts.bundle import BundleConfig
from endoexit.artifacts.source import CARD
from endoexit.files import write_text
from endoexit.policy import ExitPolicy
from endoexit.policy.promises import promise_words
from endoexit.precision import Precision


def write_bundle_card(
    folder: Path, config: BundleConfig, policies: dict[Precision, ExitPolicy], run: Path
) -> Path:
    """Write `model_card.md`: what the bundle computes, what it keeps, and what it is not.

    What the network was trained on follows from the card of the run, if there is one.
    """
    shape = config.preprocessing
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
        f"- Input: RGB images, {shape.size}×{shape.size} pixels after preprocessing.",
        f"- Classes ({len(config.classes)}): {', '.join(config.classes)}",
        f"- Computes in: {', '.join(map(str, config.computes))}",
        f"- Made by: `{config.command}`",
        f"- Weights of the run: SHA-256 `{config.run_weights_sha256}`",
        "",
        "## Exits",
        "",
        "| exit | multiply-adds, G | parameters, M | accuracy before, % | in this bundle, % |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {number} | {facts.macs / 1e9:.3f} | {facts.parameters / 1e6:.3f} "
            f"| {_percent(facts.accuracy_before)} | {_percent(facts.accuracy)} |"
            for number, facts in enumerate(config.exits, start=1)
        ),
        "",
        "Accuracy on the calibrate role, which also chose temperatures and thresholds: it shows",
        "what the export changed, not what new images will show.",
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


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _policy_lines(policies: dict[Precision, ExitPolicy]) -> list[str]:
    if not policies:
        return ["None: without a threshold, every image goes to the last exit."]
    lines = []
    for name, policy in policies.items():
        lines.append(f"- {name}: {policy.goal}")
        lines += [f"  - promise: {promise_words(promise)}" for promise in policy.promises]
        if policy.note:
            lines.append(f"  - {policy.note}")
    return lines
