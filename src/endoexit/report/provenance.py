"""Where every figure comes from, and the commands that make it again."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from endoexit.report.commands import calibrate_command, evaluate_command
from endoexit.report.material import Material
from endoexit.report.style import Picture


@dataclass(frozen=True)
class Made:
    """One figure.

    Attributes:
        name: of its files.
        source: the file that its numbers come from.
        steps: numbers of the commands that make it, in order.
    """

    name: str
    source: str
    steps: str


@dataclass(frozen=True)
class Provenance:
    """What the page says of its own making.

    Attributes:
        facts: name and value.
        commands: the commands, in order, each with what it makes.
        figures: one for each figure.
    """

    facts: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]
    figures: tuple[Made, ...]


def provenance(material: Material, pictures: Iterable[Picture]) -> Provenance:
    """Return where the page's figures come from."""
    evaluation = material.evaluation
    policy = material.policy
    commands = []
    if material.train_command:
        commands.append((material.train_command, "weights, metrics.csv (as it was run)"))
    found = None if policy is None else calibrate_command(material.path, policy)
    if found:
        commands.append((found, "policy.json (from the goal it names)"))
    elif policy is not None and policy.goal is not None:
        commands.append((f"endoexit calibrate … ({policy.goal})", "policy.json"))
    made = f"{material.evaluation_file.name}, logits"
    if evaluation.twin is not None:
        twin = evaluation.twin
        made += f"; TWIN is the run of {twin.model}, weights {twin.weights_sha256[:12]}"
    commands.append((evaluate_command(material.path, evaluation), made))
    report = f"endoexit report {shlex.quote(str(material.path))}"
    commands.append((report, "this page and all figures"))
    last = len(commands)
    figures = []
    for picture in pictures:
        trained = picture.source == "metrics.csv" or picture.source.startswith("weights")
        steps = "1" if trained and material.train_command else str(last - 1)
        figures.append(Made(picture.name, picture.source, f"{steps}, {last}"))
    return Provenance(tuple(material.facts), tuple(commands), tuple(figures))
