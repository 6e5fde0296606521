"""`endoexit video`: a clip answered frame by frame, and what it shows over time."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import (
    JsonOption,
    NamesKeyOption,
    NamesOption,
    Output,
    PrecisionOption,
    ThresholdOption,
    name_images,
    progress,
)

if TYPE_CHECKING:
    from endoexit.watching.document import Summary


def video(
    source: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    clip: Annotated[Path, typer.Argument(help="Video, or a DICOM object that holds one.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the results; new or empty.")],
    threshold: ThresholdOption = None,
    precision: PrecisionOption = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads of the network.  [default: OMP_NUM_THREADS, else all cores, or for a "
            "bundle what is fastest]",
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Keep up with the clock: frames that are late are dropped."),
    ] = False,
    temporal: Annotated[
        Path | None,
        typer.Option(help="JSON file of temporal rules.  [default: evidence and blind frames]"),
    ] = None,
    evidence: Annotated[
        bool | None,
        typer.Option(
            "--evidence/--no-evidence",
            help="Change the shown label only on evidence over frames.  [default: on]",
        ),
    ] = None,
    blind: Annotated[
        bool | None,
        typer.Option(
            "--blind/--no-blind",
            help="Tell dark, blurred and out-of-body frames apart.  [default: on]",
        ),
    ] = None,
    reuse: Annotated[
        bool | None,
        typer.Option(
            "--reuse/--no-reuse",
            help="Give nearly identical frames the answer of the last computed one.  "
            "[default: off]",
        ),
    ] = None,
    exit_memory: Annotated[
        bool | None,
        typer.Option(
            "--exit-memory/--no-exit-memory",
            help="Let images exit where the one before did, with a lower threshold.  "
            "[default: off]",
        ),
    ] = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer the frames of a video, and say what is shown over time.

    Example: `endoexit video runs/nano clip.mp4 --out clip`

    Writes a table of the frames (Parquet), events (JSON lines), a summary (JSON) and a page with a
    timeline and stills. A guarantee is proven on single images, and is void under --reuse and
    --exit-memory. A clip that breaks off is answered up to there, and the exit code is 1. Needs
    `pip install 'endoexit[video]'`. Research use only; not a medical device.
    """
    from endoexit.runtime.deciding import NO_POLICY
    from endoexit.workflow.video import video as watch

    output = Output(as_json)
    name_images(names, names_key)
    output.warn_if_unfinished(source)

    def tell(time_s: float, label: str | None) -> None:
        if live:
            print(f"{time_s:9.2f} s  {label or '-'}", file=sys.stderr, flush=True)

    files = watch(
        source,
        clip,
        out=out,
        threshold=threshold,
        precision=precision,
        threads=threads,
        live=live,
        temporal=temporal,
        evidence=evidence,
        blind=blind,
        reuse=reuse,
        exit_memory=exit_memory,
        on_change=tell,
        track=progress,
    )
    summary = files.watched.summary
    if summary.decided_by == NO_POLICY and summary.stages > 1:
        output.warn_without_policy(source)
    output.say(*_words(summary), f"Written: {out} (open {files.page})")
    output.document({"out": str(out), **summary.model_dump(mode="json")})
    if files.watched.fault is not None:
        print(f"error: {files.watched.fault}", file=sys.stderr)
        raise typer.Exit(1)


def _words(summary: "Summary") -> list[str]:
    counts = summary.counts
    blind = sum(counts.blind.values())
    exits = ", ".join(f"{count} at exit {number}" for number, count in counts.exits.items())
    lines = [
        f"{counts.frames} frames of {summary.clip.seconds:.2f} s: {counts.computed} computed "
        f"({exits or 'none'}), {counts.reused} reused, {blind} blind, {counts.dropped} dropped.",
        f"{summary.segments} segments; the shown label changes "
        f"{summary.shown_changes_a_minute:.1f} times a minute, the answers "
        f"{summary.answer_changes_a_minute:.1f} times.",
        f"{summary.frames_a_second:.1f} frames a second.",
    ]
    if summary.lag is not None:
        lines.append(f"Lag: median {summary.lag.p50:.0f} ms, 99 % within {summary.lag.p99:.0f} ms.")
    return [*lines, f"Decided by: {summary.decided_by}", summary.guarantee.words]
