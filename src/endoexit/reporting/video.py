"""The page on a clip: timeline, stills of the peaks, what it cost, what may be said of it."""

from dataclasses import dataclass
from pathlib import Path

from endoexit.files import write_text
from endoexit.reporting.page import render
from endoexit.reporting.pictures import data_uri, jpeg
from endoexit.reporting.timeline import timeline
from endoexit.runtime.session import Session
from endoexit.tables import Column, Table
from endoexit.watching.document import Summary
from endoexit.watching.events import BlindSpan, Segment
from endoexit.watching.run import EVENTS, FRAMES, SUMMARY, Watched
from endoexit.watching.stills import Still

PAGE = "video.html"
_MOST_ROWS = 200


@dataclass(frozen=True)
class ShownStill:
    """A still as the page shows it.

    Attributes:
        title: Label and times of the segment.
        address: Picture, carried by its address.
        width: Width in CSS pixels.
        height: Height in CSS pixels.
        alt: What the picture is.
        lines: What is known of the segment, in words.
    """

    title: str
    address: str
    width: int
    height: int
    alt: str
    lines: tuple[str, ...]


def write_page(session: Session, watched: Watched, folder: Path) -> Path:
    """Write `video.html` into a folder; return its path.

    Args:
        session: Network that answered.
        watched: Clip.
        folder: Folder of the other files.
    """
    summary = watched.summary
    stills = watched.stills.in_order()
    html = render(
        "video.html",
        summary=summary,
        name=Path(summary.clip.name).name,
        picture=timeline(watched, session.classes, session.backend.num_stages),
        stills=[_shown(still) for still in stills],
        left_out=watched.stills.left_out,
        tiles=_tiles(summary),
        events=_event_table(watched),
        rules=_rule_table(summary),
        labels=_label_table(watched),
        files=(FRAMES, EVENTS, SUMMARY),
    )
    path = folder / PAGE
    write_text(path, html)
    return path


def clock(seconds: float) -> str:
    """Return a time in a clip as minutes and seconds: `1:02.48`."""
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes}:{rest / 100:05.2f}"


def _shown(still: Still) -> ShownStill:
    segment, peak = still.segment, still.segment.peak
    height, width = still.picture.shape[:2]
    lines = [f"{segment.end_s - segment.start_s:.2f} s, {segment.frames} frames"]
    if peak is not None:
        lines.append(
            f"surest at {clock(peak.time_s)} (frame {peak.frame}): "
            f"{100 * peak.probability:.1f} %, exit {peak.exit}"
        )
    return ShownStill(
        f"{segment.label}, {clock(segment.start_s)} to {clock(segment.end_s)}",
        data_uri(jpeg(still.picture), "image/jpeg"), width, height,
        f"frame of {segment.label} in the clip", tuple(lines),
    )  # fmt: skip


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """Return the few figures at the top: name, value, detail."""
    counts, clip = summary.counts, summary.clip
    blind = ", ".join(f"{kind} {count}" for kind, count in counts.blind.items())
    tiles = [
        ("frames", str(counts.frames), f"{clip.seconds:.2f} s, {clip.width}×{clip.height}"),
        (
            "stages that ran", f"{100 * counts.stages_share:.1f} %",
            f"of all stages; {counts.computed} frames computed, {counts.reused} reused",
        ),
        (
            "changes of the shown label", f"{summary.shown_changes_a_minute:.1f} a minute",
            f"of the answers: {summary.answer_changes_a_minute:.1f} a minute",
        ),
        ("blind frames", str(sum(counts.blind.values())), blind or "none"),
    ]  # fmt: skip
    if summary.lag is not None:
        lag = summary.lag
        tiles.append(("dropped frames", str(counts.dropped),
                      f"lag {lag.p50:.0f} ms, 99 % within {lag.p99:.0f} ms"))  # fmt: skip
    return tiles


def _event_table(watched: Watched) -> Table:
    rows = []
    ordered = sorted(watched.events, key=lambda event: event.first_frame)
    for event in ordered[:_MOST_ROWS]:
        peak = event.peak if isinstance(event, Segment) else None
        name = event.kind if isinstance(event, BlindSpan) else event.label
        rows.append((
            clock(event.start_s), clock(event.end_s), name, event.event, str(event.frames),
            "" if peak is None else f"{100 * peak.probability:.1f} % at {clock(peak.time_s)}",
        ))  # fmt: skip
    left = len(ordered) - len(rows)
    columns = [Column(name) for name in ("from", "to", "what", "kind", "frames", "surest")]
    notes = (f"{left} more are in {EVENTS}.",) if left else ()
    return Table("Events", tuple(columns), tuple(rows), notes)


def _label_table(watched: Watched) -> Table:
    segments = [event for event in watched.events if isinstance(event, Segment)]
    rows = tuple(
        (name, f"{seconds:.2f}", str(sum(segment.label == name for segment in segments)))
        for name, seconds in watched.summary.shown_s.items()
        if seconds
    )
    columns = (Column("label"), Column("shown, s"), Column("segments"))
    return Table("What was shown", columns, rows)


def _rule_table(summary: Summary) -> Table:
    rows = []
    for name, rule in summary.rules.model_dump().items():
        if isinstance(rule, dict):
            numbers = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in rule.items())
            rows.append((name.replace("_", " "), "on", numbers))
        elif rule is None:
            rows.append((name.replace("_", " "), "off", ""))
        else:
            rows.append((name, "", f"{rule:g}"))
    return Table(
        "Temporal rules", (Column("rule"), Column("state"), Column("numbers")), tuple(rows)
    )
