"""From paths to rows: read ahead, predict, keep the order, report what cannot be read."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from endoexit.errors import ImageError
from endoexit.runtime.engine import Engine, Images, Prediction
from endoexit.runtime.prefetch import Prefetch
from endoexit.runtime.stream import WINDOW_BATCHES, Batches, Stream

READERS = 2
IDLE_S = 0.2


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one path: a prediction or an error.

    Attributes:
        path: as it was given.
        prediction: None when there is an error.
        error: why the image could not be read; None when it could.
    """

    path: Path
    prediction: Prediction | None = None
    error: str | None = None


def predict_paths(engine: Engine, paths: Iterable[Path], batch_size: int = 1) -> Iterator[Row]:
    """Yield one row a path, in the order of the paths.

    Images are read and prepared in background threads. They run in throughput mode (see
    `Stream`); when none comes for a moment, those at hand are answered without waiting for a
    full batch. An engine with a deadline predicts batch by batch instead. Memory does not
    grow with the number of paths.

    Args:
        engine: what predicts.
        paths: image files; iterated in a background thread.
        batch_size: images of a full batch.

    Raises:
        UsageError: the batch size is less than 1.
        Exception: whatever `paths` breaks off with, after the rows for all paths before that.
    """

    def load(path: Path) -> tuple[Path, Images | ImageError]:
        try:
            return path, engine.preprocessing.load(path)
        except ImageError as error:
            return path, error

    batching = Stream if engine.deadline_ms is None else Batches
    answering: Stream | Batches = batching(engine, batch_size)
    rows = _Rows()
    with Prefetch(paths, load, READERS, ahead=2 * batch_size + READERS) as images:
        for loaded in images.values(IDLE_S):
            if loaded is None:
                yield from rows.fill(answering.flush())
                continue
            path, image = loaded
            if isinstance(image, ImageError):
                rows.append(Row(path, error=str(image)))
                # Broken files push nothing through the stream, so nobody may wait for them.
                full = len(rows) >= WINDOW_BATCHES * batch_size
                yield from rows.fill(answering.flush() if full else [])
            else:
                rows.append(Row(path))
                yield from rows.fill(answering.add(image))
        yield from rows.fill(answering.flush())
        images.check()


class _Rows:
    """Rows in the order of their paths, the answers of some still missing."""

    def __init__(self) -> None:
        self._open: deque[Row] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def append(self, row: Row) -> None:
        """Add an error, or a row without error whose answer will come."""
        self._open.append(row)

    def fill(self, answers: Iterable[Prediction]) -> Iterator[Row]:
        """Give the answers, in order, to the rows without; yield what is complete now."""
        for answer in answers:
            yield from self._errors()
            yield replace(self._open.popleft(), prediction=answer)
        yield from self._errors()

    def _errors(self) -> Iterator[Row]:
        while self._open and self._open[0].error is not None:
            yield self._open.popleft()
