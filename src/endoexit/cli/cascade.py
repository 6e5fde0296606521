"""`endoexit cascade`: trained runs as the stages of one classifier."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from endoexit.cli.console import (
    JsonOption,
    NamesKeyOption,
    NamesOption,
    Output,
    name_images,
    progress,
)

if TYPE_CHECKING:
    from endoexit.artifacts.run import Run


def cascade(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders of `endoexit train`, small to large.", show_default=False),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Run folder to make; new or empty.")],
    combine: Annotated[
        Literal["last", "mean"],
        typer.Option(
            help="Answer of an exit: last is its own, mean is the mean of the probabilities of "
            "all exits so far."
        ),
    ] = "last",
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put trained runs together: an image that a small one is sure of never meets a large one.

    Networks, input sizes and preprocessing may differ. The exits of the runs become those of the
    cascade, in order. The result is a run folder that all commands but train work on.
    The runs must know the same classes. None may have learnt from an image that the last one keeps
    for calibrate, certify or test.

    Example: `endoexit cascade runs/lite0-96 runs/lite0-128 --out runs/cascade`
    """
    from endoexit.workflow.cascade import cascade as put_together

    output = Output(as_json)
    name_images(names, names_key)
    command = shlex.join(["endoexit", *sys.argv[1:]])
    run = put_together(runs, out=out, combine=combine, command=command, track=progress)
    _print(output, run)
    output.document(
        {
            "run": str(run.path),
            "weights_sha256": run.weights_sha256,
            "config": run.config.model_dump(mode="json"),
            "macs": list(run.complexity.macs),
        }
    )


def _print(output: Output, run: "Run") -> None:
    from endoexit.cli.tables import terminal_table
    from endoexit.evaluation.tables import MACS
    from endoexit.tables import Column, Table

    costs = run.complexity.macs
    exits = [
        (number, member)
        for member in run.config.members
        for number in range(member.exits[0], member.exits[1] + 1)
    ]
    table = Table.of(
        "Exits of the cascade, with what each costs",
        {
            Column("exit"): lambda item: str(item[0]),
            Column("member"): lambda item: item[1].name,
            Column("pixels"): lambda item: str(item[1].size),
            MACS: lambda item: costs[item[0] - 1] / 1e9,
        },
        exits,
    )
    output.say(terminal_table(table))
    folder = shlex.quote(str(run.path))
    output.say(f"Run folder: {run.path}")
    output.say(f"Next: endoexit calibrate {folder} --max-accuracy-drop 0.01")
