"""Events of a clip: while one label is shown, and while nothing can be seen."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from endoexit.documents import Record
from endoexit.images.video.upright import Pixels
from endoexit.watching.answer import FrameRow


class Peak(Record):
    """The frame of a segment that is surest of its label.

    Attributes:
        time_s: Time of the frame.
        frame: Number of the frame.
        probability: Probability of the label.
        exit: Exit that answered.
    """

    time_s: float
    frame: int
    probability: float
    exit: int


class Segment(Record):
    """A time in which one label is shown.

    Attributes:
        event: Kind of the event.
        label: Name of the label.
        start_s: Time of the first frame.
        end_s: Time of the first frame after it; of the last segment, one interval after its end.
        first_frame: Number of the first frame.
        last_frame: Number of the last frame.
        frames: Number of frames.
        peak: Frame that is surest of the label; None where no frame was answered.
        exits: Number of answered frames by the number of their exit.
        reused: Number of frames with the answer of an earlier one.
        blind: Number of blind frames.
        dropped: Number of dropped frames.
    """

    event: Literal["segment"] = "segment"
    label: str
    start_s: float
    end_s: float
    first_frame: int
    last_frame: int
    frames: int
    peak: Peak | None
    exits: dict[str, int]
    reused: int
    blind: int
    dropped: int


class BlindSpan(Record):
    """A time in which all frames are blind for the same reason.

    Attributes:
        event: Kind of the event.
        kind: Why the frames are blind.
        start_s: Time of the first frame.
        end_s: Time of the first frame after it.
        first_frame: Number of the first frame.
        last_frame: Number of the last frame.
        frames: Number of frames.
    """

    event: Literal["blind"] = "blind"
    kind: str
    start_s: float
    end_s: float
    first_frame: int
    last_frame: int
    frames: int


@dataclass
class _Open:
    """A segment or a blind span that has not ended."""

    name: str
    start_s: float
    first: int
    last: int = 0
    frames: int = 0
    peak: Peak | None = None
    picture: Pixels | None = None
    exits: Counter[int] = field(default_factory=Counter)
    reused: int = 0
    blind: int = 0
    dropped: int = 0


class Events:
    """Puts the rows of a clip together to events.

    Args:
        classes: Names of the classes, in the order of the logits.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._segment: _Open | None = None
        self._span: _Open | None = None

    def add(
        self, row: FrameRow, square: Pixels | None
    ) -> list[tuple[Segment | BlindSpan, Pixels | None]]:
        """Take in the next row; return the events that ended before it, with their peaks' squares.

        Args:
            row: Row of the next frame.
            square: The frame as the network takes it.
        """
        ended = self._end(row.time_s, None if row.dropped else row.blind or "", self._label(row))
        if row.shown is not None:
            self._segment = self._segment or _Open(self._classes[row.shown], row.time_s, row.index)
            _count(self._segment, row)
            self._compare(self._segment, row, square)
        if row.blind is not None:
            self._span = self._span or _Open(row.blind, row.time_s, row.index)
            _count(self._span, row)
        return ended

    def finish(self, end_s: float) -> list[tuple[Segment | BlindSpan, Pixels | None]]:
        """Return the events that are open when the clip ends.

        Args:
            end_s: Time at which it ends.
        """
        return self._end(end_s, "", None)

    def _label(self, row: FrameRow) -> str | None:
        return None if row.shown is None else self._classes[row.shown]

    def _end(
        self, time_s: float, blind: str | None, label: str | None
    ) -> list[tuple[Segment | BlindSpan, Pixels | None]]:
        ended: list[tuple[Segment | BlindSpan, Pixels | None]] = []
        # A dropped frame says nothing of what was seen: a span outlasts it.
        if self._span is not None and blind is not None and self._span.name != blind:
            ended.append((_closed_span(self._span, time_s), None))
            self._span = None
        if self._segment is not None and self._segment.name != label:
            ended.append((_closed_segment(self._segment, time_s), self._segment.picture))
            self._segment = None
        return ended

    def _compare(self, segment: _Open, row: FrameRow, square: Pixels | None) -> None:
        """Keep the frame if it is the surest of its segment so far."""
        answer = row.answer
        if answer is None or row.reused:
            return
        probability = float(answer.probabilities[self._classes.index(segment.name)])
        if segment.peak is None or probability > segment.peak.probability:
            segment.peak = Peak(
                time_s=row.time_s, frame=row.index, probability=probability, exit=answer.exit
            )
            segment.picture = square


def _count(open_: _Open, row: FrameRow) -> None:
    open_.last = row.index
    open_.frames += 1
    open_.reused += row.reused
    open_.blind += row.blind is not None
    open_.dropped += row.dropped
    if row.prediction is not None:
        open_.exits[row.prediction.exit] += 1


def _closed_segment(open_: _Open, end_s: float) -> Segment:
    return Segment(
        label=open_.name,
        start_s=open_.start_s,
        end_s=end_s,
        first_frame=open_.first,
        last_frame=open_.last,
        frames=open_.frames,
        peak=open_.peak,
        exits={str(number): count for number, count in sorted(open_.exits.items())},
        reused=open_.reused,
        blind=open_.blind,
        dropped=open_.dropped,
    )


def _closed_span(open_: _Open, end_s: float) -> BlindSpan:
    return BlindSpan(
        kind=open_.name,
        start_s=open_.start_s,
        end_s=end_s,
        first_frame=open_.first,
        last_frame=open_.last,
        frames=open_.frames,
    )
