"""From images to rows: read ahead, predict, keep the order, report what cannot be read."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from endoexit.errors import ImageError
from endoexit.images.reference import ImageRef
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.prefetch import Prefetch
from endoexit.runtime.stream import WINDOW_BATCHES, BatchByBatch, Stream

READERS = 2
IDLE_S = 0.2

Image = TypeVar("Image")


@dataclass(frozen=True, slots=True)
class PredictedRow(Generic[Image]):
    """What became of one image: a prediction or an error.

    Attributes:
        index: Position of the image in the input, from 0.
        image: The image, as it was given.
        prediction: Answer of the network; None when there is an error.
        error: Reason why the image could not be read; None when it could.
    """

    index: int
    image: Image
    prediction: Prediction | None = None
    error: ImageError | None = None


def predict_images(
    engine: Engine, images: Iterable[ImageRef], batch_size: int = 1
) -> Iterator[PredictedRow[ImageRef]]:
    """Yield one row an image, in the order of the images.

    Images are read and prepared in background threads. They run in throughput mode (see
    `Stream`); if no image comes for a moment, the images inside are answered without a full
    batch. An engine with a deadline predicts batch by batch instead. Memory does not
    grow with the number of images.

    Args:
        engine: Engine that predicts.
        images: The images; iterated in a background thread.
        batch_size: Number of images of a full batch.

    Raises:
        UsageError: The batch size is less than 1.
        Exception: Whatever `images` breaks off with, after the rows for all images before that.
    """
    return predict_loaded(engine, images, engine.preprocessing.load, batch_size, idle_s=IDLE_S)


def predict_loaded(
    engine: Engine,
    images: Iterable[Image],
    load: Callable[[Image], Images],
    batch_size: int = 1,
    *,
    idle_s: float | None,
) -> Iterator[PredictedRow[Image]]:
    """Yield one row an image, as `predict_images` does, for images that `load` reads.

    Args:
        engine: Engine that predicts.
        images: The images; iterated in a background thread.
        load: Function that returns the network's square, uint8 (S, S, 3), of an image, or raises
            ImageError; called in threads.
        batch_size: Number of images of a full batch.
        idle_s: Seconds without an image after which the images inside are answered; None to wait.
            Batches then depend on the images alone, not on the time that reading takes.

    Raises:
        UsageError: The batch size is less than 1.
        Exception: Whatever `images` breaks off with, after the rows for all images before that.
    """

    def loaded_or_error(image: Image) -> tuple[Image, Images | ImageError]:
        try:
            return image, load(image)
        except ImageError as error:
            return image, error

    # A batch of one image never waits for another, so it needs no pools.
    alone = batch_size == 1 or engine.deadline_ms is not None
    make = BatchByBatch if alone else Stream
    answering: Stream | BatchByBatch = make(engine, batch_size)
    rows: _Rows[Image] = _Rows()
    with Prefetch(images, loaded_or_error, READERS, ahead=2 * batch_size + READERS) as reading:
        for loaded in reading.values(idle_s):
            if loaded is None:
                yield from rows.fill(answering.flush())
                continue
            image, pixels = loaded
            if isinstance(pixels, ImageError):
                rows.append(image, pixels)
                # Broken files push no image through the stream, so rows must not wait behind them.
                full = len(rows) >= WINDOW_BATCHES * batch_size
                yield from rows.fill(answering.flush() if full else [])
            else:
                rows.append(image)
                yield from rows.fill(answering.add(pixels))
        yield from rows.fill(answering.flush())
        reading.check()


class _Rows(Generic[Image]):
    """Rows in the order of their images, some still without their answer."""

    def __init__(self) -> None:
        self._open: deque[PredictedRow[Image]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return len(self._open)

    def append(self, image: Image, error: ImageError | None = None) -> None:
        """Add an image with its error, or one without error whose answer will come."""
        self._open.append(PredictedRow(self._count, image, error=error))
        self._count += 1

    def fill(self, answers: Iterable[Prediction]) -> Iterator[PredictedRow[Image]]:
        """Put the answers, in order, into the rows without one; yield the rows complete now."""
        for answer in answers:
            yield from self._errors()
            yield replace(self._open.popleft(), prediction=answer)
        yield from self._errors()

    def _errors(self) -> Iterator[PredictedRow[Image]]:
        while self._open and self._open[0].error is not None:
            yield self._open.popleft()
