"""`endoexit models`: the catalog and what each exit of each network costs."""

from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import JsonOption, Output, progress

if TYPE_CHECKING:
    from rich.table import Table

    from endoexit.models.cost import Complexity

WIDE = 4  # exits that have their numbers in one line
NARROW = 3  # numbers in a line of a network with more exits


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)


def models(
    *,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Side of the square image, in pixels, for all networks that take it.  "
            "[default: the side that each network is meant for]",
        ),
    ] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 8,
    family: Annotated[
        list[str] | None,
        typer.Option(help="List the networks of this family alone, such as msdnet.  Repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the networks by family, with true parameters and multiply-adds of each exit.

    Example: `endoexit models --size 128 --classes 5`
    """
    from endoexit.cli.tables import paragraph
    from endoexit.errors import unknown_name
    from endoexit.models import list_models
    from endoexit.models.catalog import FAMILIES, family_of, meant_for
    from endoexit.models.cost import LEFT_OUT

    for wanted in family or ():
        if wanted not in FAMILIES:
            raise unknown_name("family", wanted, FAMILIES)
    shown = {key: row for key, row in FAMILIES.items() if not family or key in family}
    names = [name for name in list_models() if family_of(name) in shown]
    counted = {}
    with progress("Counting", len(names)) as bar:
        for name in names:
            counted[name] = _count(name, classes, size)
            bar.advance()
    output = Output(as_json)
    for key, row in shown.items():
        networks = {name: counted[name] for name in names if family_of(name) == key}
        if not networks:  # of names that the catalog cannot list
            output.say(paragraph(f"{row.title}.\n"))
            continue
        sides = sorted({meant_for(name) for name in networks})
        meant = f"meant for {' or '.join(map(str, sides))} pixels; takes {row.sizes}"
        output.say(_table(row.title, f"{meant}; {classes} classes", networks))
    output.say(paragraph(LEFT_OUT))
    output.document(
        {
            "size": size,
            "classes": classes,
            "left_out": LEFT_OUT,
            "models": [
                {
                    "name": name,
                    "family": family_of(name),
                    "meant_for": meant_for(name),
                    "size": cost.size,
                    "parameters": cost.parameters,
                    "macs": cost.macs,
                }
                for name, cost in counted.items()
            ],
        }
    )


def _count(name: str, classes: int, size: int | None) -> "Complexity":
    """Count a network at a size, or at the one that it is meant for where it does not take it."""
    from endoexit.errors import UsageError
    from endoexit.models.catalog import meant_for
    from endoexit.models.spec import NetworkSpec

    own = NetworkSpec(name, classes, meant_for(name))
    if size is None:
        return own.complexity
    try:
        return NetworkSpec(name, classes, size).complexity
    except UsageError:
        return own.complexity


def _table(title: str, sizes: str, networks: "dict[str, Complexity]") -> "Table":
    from endoexit.cli.tables import compact_table, five_characters

    largest = max(cost.macs[-1] for cost in networks.values())
    unit, letter = (1e9, "G") if largest >= 1e8 else (1e6, "M")
    exits = max(len(cost.macs) for cost in networks.values())
    step = exits if exits <= WIDE else NARROW

    def cells(values: tuple[int, ...], unit: float) -> str:
        numbers = [five_characters(value / unit) for value in values]
        lines = [numbers[i : i + step] for i in range(0, len(numbers), step)]
        return "\n".join(" ".join(line) for line in lines)

    return compact_table(
        f"{title}\n{sizes}",
        ("name", "at", "parameters (M),\nexit 1 … M", f"multiply-adds ({letter})"),
        (
            (name, str(cost.size), cells(cost.parameters, 1e6), cells(cost.macs, unit))
            for name, cost in networks.items()
        ),
    )
