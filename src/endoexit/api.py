"""The public face on prediction: a folder is opened, images of any size get answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from endoexit.errors import ImageError
from endoexit.policy.referral import Reason
from endoexit.precision import FloatFormat
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.session import Session, open_session

Image = str | Path | npt.NDArray[np.uint8]

BATCH_SIZE = 16


@dataclass(frozen=True)
class Answer:
    """The answer for one image.

    Attributes:
        label: Name of the most probable class; None for an image that is referred.
        probabilities: Probability of each class, by its name.
        exit: Number of the exit that answered, from 1.
        milliseconds: Time of this image in the network, without reading and resizing.
        cut_short: Whether the deadline ended the computation before the policy was satisfied.
        deadline_missed: Whether the answer came after the deadline.
        referred: Reason why a human must look at the image, "unsure" or "unlike"; None for an
            answer.
    """

    label: str | None
    probabilities: dict[str, float]
    exit: int
    milliseconds: float
    cut_short: bool
    deadline_missed: bool
    referred: Reason | None = None


class Predictor:
    """A run or a bundle that is ready to predict, for any number of calls.

    Args:
        session: Run or bundle, from `open_session`.

    Raises:
        EndoexitError: Its network or its policy cannot be used.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._engine = session.engine

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return self._session.classes

    @property
    def decided_by(self) -> str:
        """Policy that decides where images exit, and its origin, in words."""
        return self._session.decider.words

    def predict(self, images: Iterable[Image]) -> list[Answer]:
        """Return one answer for each image, in their order.

        Args:
            images: Paths of image files, or RGB arrays uint8 (height, width, 3) of any size. They
                are predicted in batches of 16. With a deadline, each is a batch.

        Returns:
            The answers. An empty list for no image.

        Raises:
            ImageError: An image cannot be read. The error names the path, or the position in
                `images` of an array.
            PolicyError: The network gave values that are not finite.
        """
        engine = self._engine
        size = BATCH_SIZE if engine.deadline_ms is None else 1
        answers: list[Answer] = []
        loaded = self._load([images] if isinstance(images, str | Path) else images)
        while batch := list(islice(loaded, size)):
            answers.extend(map(self._answer, engine.predict(np.stack(batch))))
        return answers

    def _load(self, images: Iterable[Image]) -> Iterator[npt.NDArray[np.uint8]]:
        preprocessing = self._engine.preprocessing
        for position, image in enumerate(images):
            if isinstance(image, str | Path):
                yield preprocessing.load(Path(image))
                continue
            try:
                yield preprocessing.apply(image)
            except ImageError as error:
                raise error.named(f"images[{position}]") from error

    def _answer(self, prediction: Prediction) -> Answer:
        probabilities = map(float, prediction.probabilities)
        return Answer(
            label=None if prediction.referred else self.classes[prediction.label],
            probabilities=dict(zip(self.classes, probabilities, strict=True)),
            exit=prediction.exit,
            milliseconds=prediction.milliseconds,
            cut_short=prediction.cut_short,
            deadline_missed=prediction.deadline_missed,
            referred=prediction.referred,
        )


def open_predictor(
    path: str | Path,
    *,
    threshold: float | None = None,
    deadline_ms: float | None = None,
    threads: int | None = None,
    precision: FloatFormat | None = None,
) -> Predictor:
    """Open a run or a bundle for prediction: `endoexit.open`.

    Args:
        path: Folder of the run or the bundle.
        threshold: Images exit at the first exit whose largest probability reaches it. By default
            the policy in the folder decides. Without one, the last exit answers.
        deadline_ms: Milliseconds in which each image is answered, once it is decoded.
        threads: Number of threads of the network. By default what is fastest here for a
            bundle, and all cores that this process may use for a run.
        precision: "f32" or "bf16". By default a run computes in f32, a bundle in its precision.

    Returns:
        What predicts. Opening takes time, so keep it for all images.

    Raises:
        RunError: The folder is neither, has no weights, or a file was changed.
        PolicyError: Its policy was fitted for other weights or another precision.
        UsageError: A number is out of range, or the precision or the backend is not available.
    """
    return Predictor(
        open_session(
            Path(path),
            threshold=threshold,
            deadline_ms=deadline_ms,
            threads=threads,
            precision=precision,
        )
    )
