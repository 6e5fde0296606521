"""`endoexit models`: the catalog and what each exit of each network costs."""

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
    from endoexit.cli.tables import compact_table, five_characters, paragraph
    from endoexit.models import list_models
    from endoexit.models.cost import LEFT_OUT
    from endoexit.models.spec import NetworkSpec

    names = list_models()
    counted = {}
    with progress("Counting", len(names)) as bar:
        for name in names:
            counted[name] = NetworkSpec(name, classes, size).complexity
            bar.advance()

    def cells(values: tuple[int, ...], unit: float) -> str:
        return "  ".join(five_characters(value / unit) for value in values)

    table = compact_table(
        f"Networks at {size}×{size}, {classes} classes",
        ("name", "parameters (M), exit 1 … M", "multiply-adds (G)"),
        (
            (name, cells(cost.parameters, 1e6), cells(cost.macs, 1e9))
            for name, cost in counted.items()
        ),
    )
    output = Output(as_json)
    output.say(table, paragraph(LEFT_OUT))
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
