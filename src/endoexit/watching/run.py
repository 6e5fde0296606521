"""One clip, start to end: its frames answered, table, events and summary written."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from endoexit.errors import ImageError, UsageError
from endoexit.files import write_json
from endoexit.images.video.clip import Clip, ClipFrame
from endoexit.images.video.upright import Pixels
from endoexit.naming import naming
from endoexit.policy.temporal.settings import TemporalSettings
from endoexit.policy.temporal.watch import Watch
from endoexit.progress import Track, silent
from endoexit.runtime.prefetch import Prefetch
from endoexit.runtime.session import Session
from endoexit.watching.answer import FrameRow, answer_frames
from endoexit.watching.document import ClipFacts, Summary, guarantee_under
from endoexit.watching.events import BlindSpan, Events, Segment
from endoexit.watching.live import newest
from endoexit.watching.stills import Stills
from endoexit.watching.table import FrameColumns, writing_frames
from endoexit.watching.tally import Tally

FRAMES, EVENTS, SUMMARY = "frames.parquet", "events.jsonl", "summary.json"
_AHEAD = 8  # decoded frames that wait for the network

OnChange = Callable[[float, str | None], None]


@dataclass(frozen=True, eq=False)
class Watched:
    """A clip that was watched.

    Attributes:
        summary: What it showed.
        events: Segments and blind spans, in the order in which they ended.
        stills: Pictures of the peaks.
        tally: What was counted, and where it was in time.
        fault: What ended the clip early or is missing in it; None for a whole one.
    """

    summary: Summary
    events: tuple[Segment | BlindSpan, ...]
    stills: Stills
    tally: Tally
    fault: ImageError | None


def watch_clip(
    session: Session,
    path: Path,
    settings: TemporalSettings,
    folder: Path,
    *,
    live: bool = False,
    on_change: OnChange = lambda _time, _label: None,
    track: Track = silent,
) -> Watched:
    """Answer the frames of a clip; write `frames.parquet`, `events.jsonl` and `summary.json`.

    Args:
        session: Network; its policy decides where images exit.
        path: Video, or a DICOM object that holds one.
        settings: Rules of the temporal policy.
        folder: Folder for the files; it exists.
        live: Whether frames come by the clock. Those that cannot be answered in time are dropped.
        on_change: Function that is called with the time and the label when another is shown.
        track: Display of progress.

    Raises:
        ImageError: The clip cannot be read at all. A clip that breaks off is watched up to there.
        UsageError: The exit policy has a deadline, or does not go with a rule.
        PolicyError: The network gave values that are not finite.
    """
    engine = session.engine
    if engine.deadline_ms is not None:
        raise UsageError(
            "the policy has a deadline, so the answers would depend on the clock: calibrate for "
            "another goal, or give --threshold."
        )
    watch = Watch(settings, engine.policy)
    engine.backend.expect(1)
    engine.warm_up()
    begin = time.perf_counter()
    with Clip(path, session.preprocessing, live=live) as clip:
        stills = Stills(session.preprocessing, clip.facts.width, clip.facts.height)
        tally = Tally(engine.backend.num_stages)
        with (
            writing_frames(
                folder / FRAMES, FrameColumns(session.classes, engine.backend.num_stages)
            ) as write,
            (folder / EVENTS).open("w", encoding="utf-8") as stream,
            track("answering frames", clip.facts.announced) as bar,
            closing(newest(clip.frames()) if live else _ahead(clip.frames())) as frames,
        ):
            recorder = _Recorder(session.classes, stills, stream, on_change)
            for row, square in answer_frames(engine, watch, frames):
                write(row)
                tally.add(row)
                recorder.add(row, square)
                bar.advance()
            recorder.finish(tally.seconds)
        fault = clip.fault
        facts = ClipFacts(
            **clip.facts.model_dump(),
            name=naming().name(str(path), 0),
            seconds=tally.seconds,
            fault=None if fault is None else fault.fault,
        )
    wall_s = time.perf_counter() - begin
    summary = _summary(
        session, settings, tally, recorder.events, clip=facts, wall_s=wall_s, live=live
    )
    write_json(folder / SUMMARY, summary.model_dump(mode="json"))
    return Watched(summary, tuple(recorder.events), stills, tally, fault)


def _ahead(frames: Iterable[ClipFrame]) -> Generator[ClipFrame]:
    """Yield the frames; the next ones are taken from the decoder meanwhile."""
    with Prefetch(frames, lambda frame: frame, threads=1, ahead=_AHEAD) as reading:
        for frame in reading.values(None):
            if frame is not None:
                yield frame
        reading.check()


class _Recorder:
    """Writes events as they end, keeps the pictures of their peaks, tells of changes."""

    def __init__(
        self, classes: tuple[str, ...], stills: Stills, stream: TextIO, on_change: OnChange
    ) -> None:
        self._classes, self._stills, self._stream = classes, stills, stream
        self._on_change = on_change
        self._open = Events(classes)
        self._shown: int | None = None
        self.events: list[Segment | BlindSpan] = []

    def add(self, row: FrameRow, square: Pixels | None) -> None:
        """Take in the next row."""
        self._write(self._open.add(row, square))
        if row.shown != self._shown:
            self._shown = row.shown
            self._on_change(row.time_s, None if row.shown is None else self._classes[row.shown])

    def finish(self, end_s: float) -> None:
        """End what is open at the end of the clip."""
        self._write(self._open.finish(end_s))

    def _write(self, ended: Iterable[tuple[Segment | BlindSpan, Pixels | None]]) -> None:
        for event, square in ended:
            self._stream.write(event.model_dump_json() + "\n")
            self.events.append(event)
            if isinstance(event, Segment):
                self._stills.add(event, square)


def _summary(
    session: Session,
    settings: TemporalSettings,
    tally: Tally,
    events: Iterable[Segment | BlindSpan],
    *,
    clip: ClipFacts,
    wall_s: float,
    live: bool,
) -> Summary:
    engine = session.engine
    segments = [event for event in events if isinstance(event, Segment)]
    shown_s = dict.fromkeys(session.classes, 0.0)
    for segment in segments:
        shown_s[segment.label] += segment.end_s - segment.start_s
    waits = 0 if settings.evidence is None else settings.evidence.frames - 1
    counts = tally.counts()
    return Summary(
        source=str(session.source.path),
        model=session.source.config.model,
        weights_sha256=session.source.weights_sha256,
        precision=str(session.precision),
        threads=engine.backend.threads,
        stages=engine.backend.num_stages,
        decided_by=session.decider.words,
        clip=clip,
        live=live,
        rules=settings,
        least_delay_s=waits * tally.interval_s,
        guarantee=guarantee_under(engine.policy, settings),
        counts=counts,
        shown_s=shown_s,
        segments=len(segments),
        answer_changes_a_minute=tally.a_minute(tally.answer_changes),
        shown_changes_a_minute=tally.a_minute(tally.shown_changes),
        network_ms=tally.network_ms,
        wall_s=wall_s,
        frames_a_second=counts.frames / wall_s,
        lag=tally.lag,
    )
