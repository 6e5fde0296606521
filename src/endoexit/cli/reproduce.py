"""`endoexit reproduce`: the exit paper's figures, counted again, and its experiment."""

from typing import TYPE_CHECKING

import typer

from endoexit.cli.console import JsonOption, Output
from endoexit.cli.kvasir import kvasir

if TYPE_CHECKING:
    from rich.console import Group

    from endoexit.models.hifuse.table3 import Comparison


reproduce = typer.Typer(
    no_args_is_help=True, help="Reproduce the exit paper: its counts, its experiment."
)
reproduce.command()(kvasir)


@reproduce.command()
def table3(*, as_json: JsonOption = False) -> None:
    """Count parameters and work of the paper's Table 3, by its rules and truly.

    Exits with 1 if a number does not round to the printed digits.

    Example: `endoexit reproduce table3`
    """
    from dataclasses import asdict

    from endoexit.cli.tables import paragraph
    from endoexit.errors import ModelError
    from endoexit.models.cost import LEFT_OUT
    from endoexit.models.hifuse import table3 as paper

    rows = paper.reproduce_table3()
    agreeing = [row for row in rows if row.agrees]
    dead = paper.PUBLISHED_PARAMETERS - rows[0].true_parameters
    published = (
        f"The published code's HiFuse-Small holds {paper.PUBLISHED_PARAMETERS / 1e6:.6f} M "
        f"parameters, {dead / 1e6:.6f} M of them in layers that never run; those are not built "
        "here."
    )
    output = Output(as_json)
    output.say(
        _table(rows),
        f"{2 * len(agreeing)} of {2 * len(rows)} numbers agree to the printed digit.",
        "",
        paragraph(paper.PAPER_LEFT_OUT),
        "",
        paragraph(LEFT_OUT),
        "",
        paragraph(published),
    )
    output.document(
        {
            "size": paper.SIZE,
            "classes": paper.CLASSES,
            "rows": [asdict(row) | {"agrees": row.agrees} for row in rows],
            "left_out": {"paper": paper.PAPER_LEFT_OUT, "true": LEFT_OUT},
            "published_parameters": paper.PUBLISHED_PARAMETERS,
        }
    )
    if len(agreeing) < len(rows):
        wrong = ", ".join(row.paper.name for row in rows if not row.agrees)
        raise ModelError(f"these rows differ from the paper's Table 3: {wrong}.")


def _table(rows: "list[Comparison]") -> "Group":
    from endoexit.cli.tables import terminal_table
    from endoexit.evaluation.figures import significant
    from endoexit.models.hifuse.table3 import CLASSES, SIZE
    from endoexit.tables import Column, Table

    return terminal_table(
        Table.of(
            f"Table 3 (HiFuse-Small, {SIZE}×{SIZE}, {CLASSES} classes; a row holds all before it)",
            {
                Column("exit"): lambda row: row.paper.name,
                Column("params\npaper", form=str): lambda row: row.paper.parameters_m,
                Column("(M)\nours", form="{:.6f}".format): lambda row: row.parameters / 1e6,
                Column("FLOPs\npaper", form=str): lambda row: row.paper.gflops,
                Column("(G)\nours", form="{:.4f}".format): lambda row: row.operations / 1e9,
                Column("\nagree", form=str): lambda row: "yes" if row.agrees else "NO",
                Column("true\nparams M", form=significant): lambda row: row.true_parameters / 1e6,
                Column("true\nMACs G", form=significant): lambda row: row.true_macs / 1e9,
            },
            rows,
        )
    )
