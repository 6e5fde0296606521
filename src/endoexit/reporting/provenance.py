"""Where every figure comes from, and the commands that make it again."""

from collections.abc import Iterable
from dataclasses import dataclass

from endoexit.reporting.material import Material, Step
from endoexit.reporting.style import Picture


@dataclass(frozen=True)
class Made:
    """One figure.

    Attributes:
        name: Name of its files.
        source: File that its numbers come from.
        steps: Numbers of the commands that make it, in order.
    """

    name: str
    source: str
    steps: str


@dataclass(frozen=True)
class Provenance:
    """How the page was made.

    Attributes:
        facts: Names and values.
        commands: Commands in order.
        figures: Entry for each figure.
    """

    facts: tuple[tuple[str, str], ...]
    commands: tuple[Step, ...]
    figures: tuple[Made, ...]


def provenance(material: Material, command: str, pictures: Iterable[Picture]) -> Provenance:
    """Return where the page's figures come from.

    Args:
        material: What the page shows.
        command: Command that makes the page.
        pictures: Figures of the page.
    """
    commands = [*material.steps, Step(command, "this page and all figures")]
    last = len(commands)
    training = [str(number) for number, step in enumerate(commands, start=1) if step.trains]
    figures = []
    for picture in pictures:
        trained = picture.source == "metrics.csv" or picture.source.startswith("weights")
        steps = training if trained and training else [str(last - 1)]
        figures.append(Made(picture.name, picture.source, ", ".join([*steps, str(last)])))
    return Provenance(tuple(material.facts), tuple(commands), tuple(figures))
