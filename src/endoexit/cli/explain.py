"""`endoexit explain`: what every exit says about single images, and what it looked at."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from endoexit.cli.console import JsonOption, Output, PrecisionOption, ThresholdOption, progress
from endoexit.errors import counted

if TYPE_CHECKING:
    from endoexit.reporting.cards import Card


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    paths: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images, folders or quoted globs.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the page and its pictures.")],
    threshold: ThresholdOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what every exit says about single images, and what it looked at.

    Writes `explain.html` and the pictures in it. An image that cannot be read is named on the
    page, the others are shown, and the exit code is 1. Research use only; not a medical device.

    Example: `endoexit explain runs/nano polyp.jpg 'more/*.png' --out explained`
    """
    from endoexit.reporting.explain import explain as write_page
    from endoexit.runtime.inputs import Inputs
    from endoexit.runtime.session import open_session

    output = Output(as_json)
    output.warn_if_unfinished(run)
    session = open_session(run, threshold=threshold, precision=precision, out=out, track=progress)
    explained = write_page(session, list(Inputs(paths)))
    for card in explained.cards:
        output.say(f"{card.name}: {card.title}")
    for _, reason in explained.failed:
        output.warn(reason)
    output.say(
        f"Decided by: {session.decider.words}",
        f"Written: {explained.page}, and {counted(len(explained.pictures), 'picture')} next to it.",
    )
    output.document(
        {
            "page": str(explained.page),
            "pictures": [str(file) for file in explained.pictures],
            "decided_by": session.decider.words,
            "images": [_document(card) for card in explained.cards],
            "failed": [{"path": path, "error": reason} for path, reason in explained.failed],
        }
    )
    if explained.failed:
        raise typer.Exit(1)


def _status(card: "Card") -> str | None:
    """Return what becomes of an image; None where the clock decides."""
    if card.referred is not None:
        return "referred"
    return "answered" if any(answer.used for answer in card.answers) else None


def _document(card: "Card") -> dict[str, Any]:
    return {
        "path": card.name,
        "status": _status(card),
        "reason": card.referred,
        "leans_to": card.leans_to,
        "synthetic": card.synthetic,
        "exits": [
            {
                "exit": answer.exit,
                "label": answer.label,
                "probability": round(answer.probability, 6),
                "answers": answer.used,
            }
            for answer in card.answers
        ],
    }
