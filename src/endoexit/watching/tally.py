"""Counts over the rows of a clip, and where they were in time."""

from array import array
from collections import Counter

import numpy as np

from endoexit.watching.answer import FrameRow
from endoexit.watching.document import Counts, Lag


class Tally:
    """What is counted of the rows of a clip.

    Args:
        stages: Number of stages M of the network.

    Attributes:
        times: Time of each frame, in seconds.
        exits: Exit of each computed frame, 0 for the others.
        marks: What became of each frame: one of `MARKS`.
    """

    MARKS = ("computed", "reused", "blind", "dropped")

    def __init__(self, stages: int) -> None:
        self._stages = stages
        self.times, self.exits, self.marks = array("d"), array("B"), array("B")
        self._lags = array("d")
        self._spent = array("d")
        self._blind: Counter[str] = Counter()
        self._by_exit: Counter[int] = Counter()
        self._remembered = self._cuts = self._run = self._referred = 0
        self._answer: int | None = None
        self._shown: int | None = None
        self.answer_changes = self.shown_changes = 0

    def add(self, row: FrameRow) -> None:
        """Count one row."""
        self.times.append(row.time_s)
        kind = ("dropped" if row.dropped else "blind" if row.blind else
                "reused" if row.reused else "computed")  # fmt: skip
        self.marks.append(self.MARKS.index(kind))
        self.exits.append(row.prediction.exit if kind == "computed" and row.prediction else 0)
        self._run += row.stages
        self._remembered += row.remembered
        self._referred += row.prediction is not None and row.answer is None
        self._cuts += row.look is not None and row.look.cut
        if row.blind is not None:
            self._blind[row.blind] += 1
        if row.lag_ms is not None:
            self._lags.append(row.lag_ms)
        if kind == "computed" and row.prediction is not None:
            self._by_exit[row.prediction.exit] += 1
            self._spent.append(row.prediction.milliseconds)
        self._count_changes(row)

    @property
    def interval_s(self) -> float:
        """Median time between two frames, in seconds; 0 for a single frame."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """Length of the clip: time of the last frame, and one interval."""
        return self.times[-1] + self.interval_s if self.times else 0.0

    @property
    def network_ms(self) -> float | None:
        """Mean time of a computed frame in the network."""
        return float(np.mean(self._spent)) if self._spent else None

    @property
    def lag(self) -> Lag | None:
        """Lag of the answers; None where nothing was due."""
        if not self._lags:
            return None
        p50, p99, most = np.percentile(self._lags, (50, 99, 100)).tolist()
        return Lag(p50=p50, p99=p99, most=most)

    def counts(self) -> Counts:
        """Return the counts."""
        frames = len(self.times)
        by_mark = np.bincount(np.asarray(self.marks), minlength=len(self.MARKS)).tolist()
        return Counts(
            frames=frames,
            computed=by_mark[0],
            reused=by_mark[1],
            remembered=self._remembered,
            referred=self._referred,
            blind=dict(sorted(self._blind.items())),
            dropped=by_mark[3],
            cuts=self._cuts,
            exits={str(number): count for number, count in sorted(self._by_exit.items())},
            stages=self._run,
            stages_share=self._run / (frames * self._stages) if frames else 0.0,
        )

    def a_minute(self, changes: int) -> float:
        """Return a number of changes for each minute of the clip."""
        return 60 * changes / self.seconds if self.seconds else 0.0

    def _count_changes(self, row: FrameRow) -> None:
        if row.answer is not None:
            label = row.answer.label
            self.answer_changes += self._answer is not None and label != self._answer
            self._answer = label
        if row.shown is not None:
            self.shown_changes += self._shown is not None and row.shown != self._shown
            self._shown = row.shown
