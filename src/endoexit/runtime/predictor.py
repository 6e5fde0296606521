"""From paths to rows: read ahead, predict, keep the order, report files that cannot be read."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from endoexit.errors import ImageError
from endoexit.runtime.engine import Engine, Images, Prediction
from endoexit.runtime.prefetch import Prefetch
from endoexit.runtime.stream import WINDOW_BATCHES, BatchByBatch, Stream

READERS = 2
IDLE_S = 0.2


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """The outcome for one path: a prediction or an error.

    Attributes:
        path: Path as it was given.
        prediction: Answer for the image; None if there is an error.
        error: Reason why the image could not be read; None if it could.
    """

    path: Path
    prediction: Prediction | None = None
    error: str | None = None


def predict_paths(
    engine: Engine, paths: Iterable[Path], batch_size: int = 1
) -> Iterator[PredictedRow]:
    """Yield one row for each path, in the order of the paths.

    Images are read and prepared in background threads. They run in throughput mode (see
    `Stream`). If no image comes for a moment, the images inside are answered without a full
    batch. An engine with a deadline predicts batch by batch instead. Memory does not grow with
    the number of paths.

    Args:
        engine: Engine that predicts.
        paths: Image files; iterated in a background thread.
        batch_size: Number of images in a full batch.

    Raises:
        UsageError: The batch size is less than 1.
        Exception: Whatever `paths` raises, after the rows for all paths before that.
    """

    def load(path: Path) -> tuple[Path, Images | ImageError]:
        try:
            return path, engine.preprocessing.load(path)
        except ImageError as error:
            return path, error

    make = Stream if engine.deadline_ms is None else BatchByBatch
    answering: Stream | BatchByBatch = make(engine, batch_size)
    rows = _Rows()
    with Prefetch(paths, load, READERS, ahead=2 * batch_size + READERS) as images:
        for loaded in images.values(IDLE_S):
            if loaded is None:
                yield from rows.fill(answering.flush())
                continue
            path, image = loaded
            if isinstance(image, ImageError):
                rows.append(PredictedRow(path, error=str(image)))
                # Broken files push no image through the stream, so rows must not wait behind them.
                full = len(rows) >= WINDOW_BATCHES * batch_size
                yield from rows.fill(answering.flush() if full else [])
            else:
                rows.append(PredictedRow(path))
                yield from rows.fill(answering.add(image))
        yield from rows.fill(answering.flush())
        images.check()


class _Rows:
    """Rows in the order of their paths, some still without their answer."""

    def __init__(self) -> None:
        self._open: deque[PredictedRow] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def append(self, row: PredictedRow) -> None:
        """Add a row with an error, or a row whose answer will come."""
        self._open.append(row)

    def fill(self, answers: Iterable[Prediction]) -> Iterator[PredictedRow]:
        """Put the answers, in order, into the rows without one; yield the rows complete now."""
        for answer in answers:
            yield from self._errors()
            yield replace(self._open.popleft(), prediction=answer)
        yield from self._errors()

    def _errors(self) -> Iterator[PredictedRow]:
        while self._open and self._open[0].error is not None:
            yield self._open.popleft()
