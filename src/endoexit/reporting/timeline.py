"""The timeline of a clip: what was shown, what was blind or dropped, where images exit."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from endoexit.reporting.style import FAINT, INK, QUIET, Picture, draw, exit_style
from endoexit.reporting.words import elided
from endoexit.watching.events import BlindSpan, Segment
from endoexit.watching.run import Watched
from endoexit.watching.tally import Tally

WIDTH, ROW, STRIP = 10.0, 0.28, 1.5  # inches
PARTS = 240  # at most: a shorter clip has one for two frames, so that none is empty by chance
_MOST_ROWS = 30


def timeline(watched: Watched, classes: tuple[str, ...], exits: int) -> Picture:
    """Draw the timeline of a clip.

    Args:
        watched: Clip.
        classes: Names of the classes, in the order of the logits.
        exits: Number of exits M.
    """
    bars = _bars(watched, classes)
    shares = exit_shares(watched.tally, exits)
    seconds = max(watched.summary.clip.seconds, 1e-3)

    def paint(figure: Figure) -> None:
        heights = (max(len(bars), 2) * ROW, STRIP)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _paint_bars(above, bars)
        _paint_exits(below, shares, seconds)
        below.set_xlim(0, seconds)
        below.set_xlabel("time in the clip, s")

    counts = watched.summary.counts
    return draw(
        "timeline",
        (WIDTH, 1.1 + max(len(bars), 2) * ROW + STRIP),
        paint,
        alt=_alt(watched),
        caption="Above: while which label is shown; frames that are blind or were dropped. Below: "
        f"where the images of {counts.computed} computed frames exit; white is no computed frame.",
        source="frames.parquet",
        synthetic=False,
    )


def exit_shares(tally: Tally, exits: int) -> NDArray[np.float64]:
    """Return for each part of the clip (K, M) the share of its frames that exit at each exit.

    The number of parts K grows with the frames, up to `PARTS`.
    """
    times = np.asarray(tally.times)
    seconds, parts = max(tally.seconds, 1e-9), min(PARTS, max(1, len(times) // 2))
    # A frame at the edge of a part belongs to it, whatever the last bit of its time.
    part = np.minimum((times / seconds * parts + 1e-6).astype(np.int64), parts - 1)
    frames = np.bincount(part, minlength=parts)
    at = np.asarray(tally.exits)
    counts = [np.bincount(part[at == number], minlength=parts) for number in range(1, exits + 1)]
    return np.stack(counts, axis=1) / np.maximum(frames, 1)[:, None]


def _bars(
    watched: Watched, classes: tuple[str, ...]
) -> list[tuple[str, list[tuple[float, float]], int]]:
    """Return each row of the upper strip: name, times and lengths, number of its style."""
    segments = [event for event in watched.events if isinstance(event, Segment)]
    blind = [event for event in watched.events if isinstance(event, BlindSpan)]
    rows: dict[str, tuple[list[tuple[float, float]], int]] = {}
    for number, name in enumerate(classes, start=1):
        spans = _spans(event for event in segments if event.label == name)
        if spans:
            rows[name] = spans, number
    kept = dict(sorted(rows.items(), key=lambda row: -sum(each for _, each in row[1][0])))
    chosen = [(name, *kept[name]) for name in list(kept)[:_MOST_ROWS]]
    for kind in sorted({event.kind for event in blind}):
        chosen.append((kind, _spans(event for event in blind if event.kind == kind), 0))
    dropped = _dropped(watched.tally)
    return [*chosen, ("dropped", dropped, 0)] if dropped else chosen


def _spans(events: Iterable[Segment | BlindSpan]) -> list[tuple[float, float]]:
    return [(event.start_s, event.end_s - event.start_s) for event in events]


def _dropped(tally: Tally) -> list[tuple[float, float]]:
    """Return the times of the runs of dropped frames, and their lengths."""
    gone = np.asarray(tally.marks) == Tally.MARKS.index("dropped")
    times = np.append(np.asarray(tally.times), tally.seconds)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], gone.astype(np.int8), [0]))))
    pairs = edges.reshape(-1, 2).tolist()
    return [(float(times[begin]), float(times[end] - times[begin])) for begin, end in pairs]


def _paint_bars(axes: Axes, bars: list[tuple[str, list[tuple[float, float]], int]]) -> None:
    for row, (_, spans, number) in enumerate(bars):
        style = exit_style(number) if number else None
        axes.broken_barh(
            spans, (row - 0.4, 0.8),
            facecolor=style.colour if style else FAINT, edgecolor=INK if style else QUIET,
            hatch=style.hatch if style else "////", linewidth=0.3,
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [elided(name, 28) for name, _, _ in bars])
    axes.set_ylim(max(len(bars), 2) - 0.5, -0.5)
    axes.tick_params(length=0)


def _paint_exits(axes: Axes, shares: NDArray[np.float64], seconds: float) -> None:
    edges = np.linspace(0, seconds, len(shares) + 1)
    below = np.zeros(len(shares) + 1)
    for number in range(1, shares.shape[1] + 1):
        style = exit_style(number)
        above = below + 100 * np.append(shares[:, number - 1], shares[-1, number - 1])
        axes.fill_between(
            edges, below, above, step="post", facecolor=style.colour, edgecolor=INK,
            hatch=style.hatch, linewidth=0, label=f"exit {number}",
        )  # fmt: skip
        below = above
    axes.set_ylim(0, 100)
    axes.set_ylabel("exits, % of frames")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _alt(watched: Watched) -> str:
    shown = watched.summary.shown_s
    parts = [f"{name} {seconds:.1f} s" for name, seconds in shown.items() if seconds]
    exits = [f"exit {number} {count}" for number, count in watched.summary.counts.exits.items()]
    return (
        f"Timeline of {watched.summary.clip.seconds:.1f} s. "
        f"Shown: {', '.join(parts) or 'nothing'}. "
        f"Frames by exit: {', '.join(exits) or 'none'}."
    )
