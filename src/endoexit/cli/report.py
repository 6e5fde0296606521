"""`endoexit report`: an evaluation as a page with figures."""

from pathlib import Path
from typing import Annotated

import typer

from endoexit.cli.console import JsonOption, Output, progress


def report(
    run: Annotated[Path, typer.Argument(help="Run folder or bundle that was evaluated.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for page and figures.  [default: RUN/report; of a bundle, "
            "BUNDLE-evaluation/report]"
        ),
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(help="Another evaluation of the run.  [default: its evaluation.json]"),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images, if they moved.  [default: as in the manifest]"),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Masks of the finding, named as the images.  [default: masks, if there]"),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(help="File of the audit.  [default: audit.json in the run or its folder]"),
    ] = None,
    paper: Annotated[
        bool | None,
        typer.Option(
            "--paper/--no-paper",
            help="Draw the exit paper's measurements too.  [default: for its networks]",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show an evaluation as one page with all figures, and write these as PNG and SVG.

    The page needs no network and no other file. It holds some of the images, so their terms
    hold for it too.

    Example: `endoexit report runs/nano --out nano-report`
    """
    from endoexit.workflow.report import report as write_report

    output = Output(as_json)
    output.warn_if_unfinished(run)
    written = write_report(
        run,
        out=out,
        evaluation=evaluation,
        images=images,
        masks=masks,
        audit=audit,
        paper=paper,
        track=progress,
    )
    for note in written.notes:
        output.say(f"Not on the page: {note}")
    count = len(written.figures) // 2
    output.say(f"Written: {written.page}, and {count} figures next to it as PNG and SVG.")
    output.document(
        {
            "report": str(written.page),
            "figures": [str(file) for file in written.figures],
            "missing": list(written.notes),
        }
    )
