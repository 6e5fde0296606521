"""`endoexit models`: the catalog and what each exit of each network costs."""

from collections.abc import Callable
from typing import Annotated

import typer

from endoexit.cli.console import JsonOption, Output, progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)


def models(
    *,
    size: Annotated[int, typer.Option(help="Side of the square image, in pixels.")] = 224,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """List the networks with the true parameters and multiply-adds of each exit.

    Example: `endoexit models --size 128 --classes 5`
    """
    from endoexit.cli.tables import paragraph, terminal_table
    from endoexit.evaluation.figures import significant
    from endoexit.models import list_models
    from endoexit.models.cost import LEFT_OUT
    from endoexit.models.spec import NetworkSpec
    from endoexit.tables import Column, Table

    names = list_models()
    counted = {}
    with progress("Counting", len(names)) as bar:
        for name in names:
            counted[name] = NetworkSpec(name, classes, size).complexity
            bar.advance()

    def in_columns(unit: float) -> Callable[[tuple[int, ...]], str]:
        return lambda values: " ".join(f"{significant(value / unit):>6}" for value in values)

    table = Table(
        f"Networks at {size}×{size}, {classes} classes",
        (
            Column("name"),
            Column("parameters (M), exit 1 … M", form=in_columns(1e6)),
            Column("multiply-adds (G)", form=in_columns(1e9)),
        ),
        tuple((name, cost.parameters, cost.macs) for name, cost in counted.items()),
    )
    output = Output(as_json)
    output.say(terminal_table(table), paragraph(LEFT_OUT))
    output.document(
        {
            "size": size,
            "classes": classes,
            "left_out": LEFT_OUT,
            "models": [
                {"name": name, "parameters": cost.parameters, "macs": cost.macs}
                for name, cost in counted.items()
            ],
        }
    )
