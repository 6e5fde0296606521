"""`endoexit models`: the catalog, and what each exit of a network costs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from endoexit.cli.console import JsonOption, Output, progress

if TYPE_CHECKING:
    from endoexit.models.cost import Complexity
    from endoexit.tables import Table

WIDE = 5  # exits that have their numbers in one line


def models(
    *,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Count the networks of this family, such as msdnet.  Repeatable."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="With --family: side of the square image, in pixels, for all networks that take "
            "it.  [default: the side that each network is meant for]",
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="With --family: number of classes.  [default: 8]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the networks by family; with --family, what each of their exits costs.

    Example: `endoexit models --family efficientnet_lite --size 128 --classes 5`
    """
    from endoexit.errors import UsageError, unknown_name
    from endoexit.models.catalog import FAMILIES

    output = Output(as_json)
    for wanted in family or ():
        if wanted not in FAMILIES:
            raise unknown_name("family", wanted, FAMILIES)
    if family:
        _count_families(output, family, 8 if classes is None else classes, size)
        return
    for option, value in (("--size", size), ("--classes", classes)):
        if value is not None:
            raise UsageError(f"{option} is for counting: name a family with --family.")
    _list_families(output)


def _list_families(output: Output) -> None:
    from endoexit.cli.tables import paragraph
    from endoexit.models.catalog import FAMILIES, meant_for

    entries = []
    for key, row in FAMILIES.items():
        names = sorted(row.names)
        if not names:  # of names that the catalog cannot list
            output.say(paragraph(f"{row.title}.\n"))
            continue
        sides = sorted({meant_for(name) for name in names})
        meant = f"meant for {' or '.join(map(str, sides))} pixels, takes {row.sizes}"
        output.say(paragraph(f"{key}: {row.title}; {meant}"), paragraph(f"  {', '.join(names)}\n"))
        entries += [{"name": name, "family": key, "meant_for": meant_for(name)} for name in names]
    output.say(paragraph("What each exit costs: endoexit models --family NAME"))
    output.document({"models": entries})


def _count_families(output: Output, families: list[str], classes: int, size: int | None) -> None:
    from endoexit.cli.tables import paragraph, terminal_table
    from endoexit.models.catalog import FAMILIES, family_of, meant_for
    from endoexit.models.cost import LEFT_OUT

    shown = {key: FAMILIES[key] for key in FAMILIES if key in families}
    names = [name for row in shown.values() for name in sorted(row.names)]
    counted = {}
    with progress("Counting", len(names)) as bar:
        for name in names:
            counted[name] = _count(name, classes, size)
            bar.advance()
    for key, row in shown.items():
        networks = {name: counted[name] for name in names if family_of(name) == key}
        if not networks:
            output.say(paragraph(f"{row.title}.\n"))
            continue
        sides = sorted({meant_for(name) for name in networks})
        meant = f"meant for {' or '.join(map(str, sides))} pixels; takes {row.sizes}"
        table = _table(row.title, f"{meant}; {classes} classes", networks)
        output.say(terminal_table(table))
    output.say(paragraph(LEFT_OUT))
    output.document(
        {
            "size": size,
            "classes": classes,
            "left_out": LEFT_OUT,
            "models": [_entry(name, cost) for name, cost in counted.items()],
        }
    )


def _entry(name: str, cost: "Complexity") -> dict[str, Any]:
    from endoexit.models.catalog import family_of, meant_for

    return {
        "name": name,
        "family": family_of(name),
        "meant_for": meant_for(name),
        "size": cost.size,
        "parameters": cost.parameters,
        "macs": cost.macs,
    }


def _count(name: str, classes: int, size: int | None) -> "Complexity":
    """Count a network at a size, or at the one that it is meant for where it does not take it."""
    from endoexit.errors import UsageError
    from endoexit.models.catalog import meant_for
    from endoexit.models.spec import NetworkSpec

    spec = NetworkSpec(name, classes, meant_for(name))
    if size is None:
        return spec.complexity
    try:
        return NetworkSpec(name, classes, size).complexity
    except UsageError:
        return spec.complexity


def _table(title: str, sizes: str, networks: "dict[str, Complexity]") -> "Table":
    from endoexit.evaluation.figures import significant
    from endoexit.tables import Column, Table

    largest = max(cost.macs[-1] for cost in networks.values())
    unit, letter = (1e9, "G") if largest >= 1e8 else (1e6, "M")

    def in_lines(values: tuple[int, ...]) -> str:
        numbers = [f"{significant(value / unit):>6}" for value in values]
        lines = (numbers[first : first + WIDE] for first in range(0, len(numbers), WIDE))
        return "\n".join(" ".join(line) for line in lines)

    return Table.of(
        f"{title}\n{sizes}",
        {
            Column("name"): lambda item: item[0],
            Column("at", form=str): lambda item: item[1].size,
            Column("params (M)", form=significant): lambda item: item[1].parameters[-1] / 1e6,
            Column(f"multiply-adds ({letter}), exit 1 … M", form=in_lines): (
                lambda item: item[1].macs
            ),
        },
        networks.items(),
    )
