"""The cards of the gallery: one image, what every exit says, and what it looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import ImageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.policy import ExitPolicy, softmax
from endoexit.report.masks import Mask, Masks, read_mask
from endoexit.report.material import Absent, ExitAttention, Network
from endoexit.report.pictures import Photograph, data_uri, heat_over, jpeg, open_photograph, resized

KINDS = {
    "cbam": "spatial attention (CBAM)",
    "attention": "attention of the exit",
    "grad-cam": "Grad-CAM",
}
_BATCH = 16


@dataclass(frozen=True)
class Answer:
    """What one exit says.

    Attributes:
        exit: name of the exit.
        label: the class that it names.
        probability: of that class.
        of_truth: probability of the true class; None where it is not known.
        right: whether it is right; None likewise.
        used: the policy takes this answer; None where the clock decides.
        ran: the policy lets the image come this far; None likewise.
    """

    exit: str
    label: str
    probability: float
    of_truth: float | None
    right: bool | None
    used: bool | None
    ran: bool | None


@dataclass(frozen=True)
class View:
    """One picture of a card.

    Attributes:
        name: "image", or the exit whose look it is.
        title: under the picture.
        alt: what it shows, in numbers.
        jpeg: its content.
        width: in CSS pixels.
        height: likewise.
    """

    name: str
    title: str
    alt: str
    jpeg: bytes
    width: int
    height: int

    @property
    def address(self) -> str:
        """The picture as an address that carries it."""
        return data_uri(self.jpeg, "image/jpeg")


@dataclass(frozen=True)
class Card:
    """One image of a gallery.

    Attributes:
        name: of the image.
        title: of the card.
        answers: one for each exit.
        probabilities: (M, C), of all classes.
        views: the photograph, then what each exit looked at.
        missing: why there are no views, or not all; empty otherwise.
    """

    name: str
    title: str
    answers: tuple[Answer, ...]
    probabilities: NDArray[np.float64]
    views: tuple[View, ...]
    missing: str

    @property
    def truth_known(self) -> bool:
        """Whether the true class is known."""
        return any(answer.right is not None for answer in self.answers)


@dataclass(frozen=True, eq=False)
class Subject:
    """One image that becomes a card.

    Attributes:
        name: to be shown.
        title: of its card.
        image: The image; None where the folder of the images is not known.
        truth: index of its class; None likewise.
        left_at: the exit at which it leaves, 1 to M; None where the clock decides.
        probabilities: (M, C), of all exits.
        predicted: (M,) the classes that they name.
    """

    name: str
    title: str
    image: ImageRef | None
    truth: int | None
    left_at: int | None
    probabilities: NDArray[np.float64]
    predicted: Sequence[int]


def exit_probabilities(
    policy: ExitPolicy | None, logits: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return (M, N, C) of logits likewise, each exit at the temperature of the policy."""
    if policy is None:
        return np.stack([softmax(one) for one in logits])
    return np.stack([policy.probabilities(k, one) for k, one in enumerate(logits, start=1)])


@dataclass(frozen=True)
class Cards:
    """Makes cards.

    Attributes:
        classes: names in the order of the probabilities.
        exits: names of the exits.
        preprocessing: from image to network input.
        network: that is asked where it looks.
        masks: of the finding, drawn as a line.
    """

    classes: tuple[str, ...]
    exits: tuple[str, ...]
    preprocessing: Preprocessing
    network: Network | Absent
    masks: Masks | Absent

    def make(self, subjects: Sequence[Subject]) -> list[Card]:
        """Return the cards; the network sees a few images at once, so memory stays bounded."""
        made: list[Card] = []
        for start in range(0, len(subjects), _BATCH):
            made += self._batch(subjects[start : start + _BATCH])
        return made

    def _batch(self, subjects: Sequence[Subject]) -> list[Card]:
        photographs = [self._open(subject) for subject in subjects]
        there = [place for place, found in enumerate(photographs) if isinstance(found, Photograph)]
        looks: list[ExitAttention] = []
        if there and not isinstance(self.network, Absent):
            seen = [found.seen for found in photographs if isinstance(found, Photograph)]
            looks = self.network.attention(np.stack(seen))
        cards = []
        for place, (subject, found) in enumerate(zip(subjects, photographs, strict=True)):
            if isinstance(found, Absent):
                cards.append(self._card(subject, (), found.reason))
                continue
            column = there.index(place)
            maps = [(one.maps[column], one.kind) for one in looks]
            cards.append(self._card(subject, self._views(subject, found, maps), ""))
        return cards

    def _open(self, subject: Subject) -> Photograph | Absent:
        if subject.image is None:
            return Absent("The folder of the images is not known.")
        if not subject.image.path.is_file():
            return Absent("The image is not there any more.")
        try:
            return open_photograph(subject.image, self.preprocessing)
        except (ImageError, OSError):
            return Absent("The image cannot be read any more.")

    def _card(self, subject: Subject, views: tuple[View, ...], missing: str) -> Card:
        left_at = subject.left_at
        answers = tuple(
            Answer(
                exit=name,
                label=self.classes[subject.predicted[index]],
                probability=float(subject.probabilities[index, subject.predicted[index]]),
                of_truth=None
                if subject.truth is None
                else float(subject.probabilities[index, subject.truth]),
                right=None if subject.truth is None else subject.predicted[index] == subject.truth,
                used=None if left_at is None else index + 1 == left_at,
                ran=None if left_at is None else index + 1 <= left_at,
            )
            for index, name in enumerate(self.exits)
        )
        return Card(subject.name, subject.title, answers, subject.probabilities, views, missing)

    def _views(
        self,
        subject: Subject,
        photograph: Photograph,
        maps: Sequence[tuple[NDArray[np.float32], str]],
    ) -> tuple[View, ...]:
        shown = photograph.shown
        height, width = shown.shape[:2]
        said = "of unknown class" if subject.truth is None else f"of {self.classes[subject.truth]}"
        alt = f"Photograph {said}: {subject.name}"
        views = [View("image", "image", alt, jpeg(shown), width, height)]
        mask = self._mask(subject)
        outline = None if mask is None else mask.astype(np.uint8)
        looked = self.exits if maps else ()  # nobody could be asked
        for name, (values, kind) in zip(looked, maps, strict=True):
            low, high = float(values.min()), float(values.max())
            if high == 0:
                alt = f"{name}, {KINDS[kind]}: nothing speaks for the answer."
            else:
                fine = resized(values, (width, height))
                row, column = np.unravel_index(int(fine.argmax()), fine.shape)
                alt = (
                    f"{name}, {KINDS[kind]}: strongest {column / width:.0%} from the left and "
                    f"{row / height:.0%} from the top; from {low:.2f} to {high:.2f}."
                )
            picture = heat_over(shown, values, outline)
            views.append(View(name, f"{name}: {KINDS[kind]}", alt, jpeg(picture), width, height))
        return tuple(views)

    def _mask(self, subject: Subject) -> Mask | None:
        if isinstance(self.masks, Absent) or subject.image is None:
            return None
        path = self.masks.of(subject.name)
        try:
            return None if path is None else read_mask(path, self.preprocessing, subject.image)
        except ImageError:
            return None
