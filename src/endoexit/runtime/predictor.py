"""From images to rows: read ahead, predict, keep the order, report what cannot be read."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from endoexit.errors import ImageError
from endoexit.images.reference import ImageRef
from endoexit.runtime.engine import Engine, Images, Prediction
from endoexit.runtime.prefetch import Prefetch
from endoexit.runtime.stream import WINDOW_BATCHES, Batches, Stream

READERS = 2
IDLE_S = 0.2


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one image: a prediction or an error.

    Attributes:
        index: Position of the image in the input, from 0.
        image: The image, as it was given.
        prediction: Answer of the network; None when there is an error.
        error: Reason why the image could not be read; None when it could.
    """

    index: int
    image: ImageRef
    prediction: Prediction | None = None
    error: ImageError | None = None


def predict_images(
    engine: Engine, images: Iterable[ImageRef], batch_size: int = 1
) -> Iterator[Row]:
    """Yield one row an image, in the order of the images.

    Images are read and prepared in background threads. They run in throughput mode (see
    `Stream`); when none comes for a moment, those at hand are answered without waiting for a
    full batch. An engine with a deadline predicts batch by batch instead. Memory does not
    grow with the number of images.

    Args:
        engine: Engine that predicts.
        images: The images; iterated in a background thread.
        batch_size: Number of images of a full batch.

    Raises:
        UsageError: The batch size is less than 1.
        Exception: Whatever `images` breaks off with, after the rows for all images before that.
    """

    def load(image: ImageRef) -> tuple[ImageRef, Images | ImageError]:
        try:
            return image, engine.preprocessing.load(image)
        except ImageError as error:
            return image, error

    batching = Stream if engine.deadline_ms is None else Batches
    answering: Stream | Batches = batching(engine, batch_size)
    rows = _Rows()
    with Prefetch(images, load, READERS, ahead=2 * batch_size + READERS) as reading:
        for loaded in reading.values(IDLE_S):
            if loaded is None:
                yield from rows.fill(answering.flush())
                continue
            image, pixels = loaded
            if isinstance(pixels, ImageError):
                rows.append(image, pixels)
                # Broken files push nothing through the stream, so nobody may wait for them.
                full = len(rows) >= WINDOW_BATCHES * batch_size
                yield from rows.fill(answering.flush() if full else [])
            else:
                rows.append(image)
                yield from rows.fill(answering.add(pixels))
        yield from rows.fill(answering.flush())
        reading.check()


class _Rows:
    """Rows in the order of their images, the answers of some still missing."""

    def __init__(self) -> None:
        self._open: deque[Row] = deque()
        self._count = 0

    def __len__(self) -> int:
        return len(self._open)

    def append(self, image: ImageRef, error: ImageError | None = None) -> None:
        """Add an image with its error, or one without error whose answer will come."""
        self._open.append(Row(self._count, image, error=error))
        self._count += 1

    def fill(self, answers: Iterable[Prediction]) -> Iterator[Row]:
        """Give the answers, in order, to the rows without; yield what is complete now."""
        for answer in answers:
            yield from self._errors()
            yield replace(self._open.popleft(), prediction=answer)
        yield from self._errors()

    def _errors(self) -> Iterator[Row]:
        while self._open and self._open[0].error is not None:
            yield self._open.popleft()
