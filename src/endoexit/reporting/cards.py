"""The cards of the gallery: one image, what every exit says, and what it looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import ImageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.phantom.origin import is_rendered
from endoexit.policy import ExitPolicy, softmax
from endoexit.policy.referral import Reason
from endoexit.reporting.masks import Mask, Masks, read_mask
from endoexit.reporting.material import Absent, Attention, ExitAttention
from endoexit.reporting.pictures import (
    Photograph,
    data_uri,
    heat_over,
    jpeg,
    open_photograph,
    resized,
)

KINDS = {
    "cbam": "spatial attention (CBAM)",
    "attention": "attention of the exit",
    "grad-cam": "Grad-CAM",
}
WHY_REFERRED: dict[Reason, str] = {
    "unsure": "the final exit is unsure",
    "unlike": "it does not look like the calibrate images",
}


@dataclass(frozen=True)
class Answer:
    """The answer of one exit.

    Attributes:
        exit: Name of the exit.
        label: Class that it names.
        probability: Probability of that class.
        of_truth: Probability of the true class; None where that is not known.
        right: Whether the answer is right; None where the true class is not known.
        used: Whether the policy takes this answer; None where the clock decides.
        referred: Whether the image is referred to a human here; None where the clock decides.
        ran: Whether the image continues to this exit; None where the clock decides.
    """

    exit: str
    label: str
    probability: float
    of_truth: float | None
    right: bool | None
    used: bool | None
    referred: bool | None
    ran: bool | None


@dataclass(frozen=True)
class View:
    """One picture of a card.

    Attributes:
        name: "image", or the exit whose look it is.
        title: Title under the picture.
        alt: What the picture shows, in numbers.
        jpeg: Content of the file.
        width: Width in CSS pixels.
        height: Height in CSS pixels.
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
        name: Name of the image.
        title: Title of the card.
        answers: Answers, one for each exit.
        probabilities: Probabilities (M, C) of all classes.
        views: Photograph, then what each exit looked at.
        missing: Reason why there are no views, or not all; empty otherwise.
        referred: Reason why the image is referred to a human; None for one that is not.
        leans_to: Class that the network leans to where the image is referred; None for others.
        synthetic: Whether endoexit rendered the image.
    """

    name: str
    title: str
    answers: tuple[Answer, ...]
    probabilities: NDArray[np.float64]
    views: tuple[View, ...]
    missing: str
    referred: Reason | None = None
    leans_to: str | None = None
    synthetic: bool = False

    @property
    def why_referred(self) -> str:
        """Reason of the referral, in words; empty for an image that is not referred."""
        return "" if self.referred is None else WHY_REFERRED[self.referred]

    @property
    def truth_known(self) -> bool:
        """Whether the true class is known."""
        return any(answer.right is not None for answer in self.answers)


@dataclass(frozen=True, eq=False)
class GalleryImage:
    """One image that becomes a card.

    Attributes:
        name: Name to be shown.
        title: Title of its card.
        image: The image; None where the folder of the images is not known.
        truth: Index of its class; None where that is not known.
        exit: Exit of the image, 1 to M; None where the clock decides.
        probabilities: Probabilities (M, C) at all exits.
        predicted: Class indices (M,) that the exits answer.
        referred: Reason why it is referred to a human at its exit; None for one that is not.
    """

    name: str
    title: str
    image: ImageRef | None
    truth: int | None
    exit: int | None
    probabilities: NDArray[np.float64]
    predicted: Sequence[int]
    referred: Reason | None = None


def exit_probabilities(
    policy: ExitPolicy | None, logits: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return probabilities (M, N, C) of logits (M, N, C), at the temperatures of the policy."""
    if policy is None:
        return np.stack([softmax(of_exit) for of_exit in logits])
    return np.stack([policy.probabilities(k, of_exit) for k, of_exit in enumerate(logits, start=1)])


@dataclass(frozen=True)
class Cards:
    """Makes cards.

    Attributes:
        classes: Names in the order of the probabilities.
        exits: Names of the exits.
        preprocessing: Preprocessing from image to network input.
        attention: Function that tells where the exits look.
        masks: Masks of the finding, drawn as a line.
    """

    classes: tuple[str, ...]
    exits: tuple[str, ...]
    preprocessing: Preprocessing
    attention: Attention | Absent
    masks: Masks | Absent

    def make(self, entries: Sequence[GalleryImage]) -> list[Card]:
        """Return the cards of a few images, which the network sees at once: memory grows with them.

        Args:
            entries: The images.
        """
        photographs = [self._open(entry) for entry in entries]
        there = [
            place
            for place, photograph in enumerate(photographs)
            if isinstance(photograph, Photograph)
        ]
        looks: list[ExitAttention] = []
        if there and not isinstance(self.attention, Absent):
            seen = [
                photograph.seen for photograph in photographs if isinstance(photograph, Photograph)
            ]
            looks = self.attention(np.stack(seen))
        cards = []
        for place, (entry, photograph) in enumerate(zip(entries, photographs, strict=True)):
            if isinstance(photograph, Absent):
                cards.append(self._card(entry, (), photograph.reason))
                continue
            column = there.index(place)
            maps = [(look.maps[column], look.kind) for look in looks]
            cards.append(self._card(entry, self._views(entry, photograph, maps), ""))
        return cards

    def _open(self, entry: GalleryImage) -> Photograph | Absent:
        if entry.image is None:
            return Absent("The folder of the images is not known.")
        if not entry.image.path.is_file():
            return Absent("The image is not there any more.")
        try:
            return open_photograph(entry.image, self.preprocessing)
        except (ImageError, OSError):
            return Absent("The image cannot be read any more.")

    def _card(self, entry: GalleryImage, views: tuple[View, ...], missing: str) -> Card:
        taken, referred = entry.exit, entry.referred is not None
        answers = tuple(
            Answer(
                exit=name,
                label=self.classes[entry.predicted[index]],
                probability=float(entry.probabilities[index, entry.predicted[index]]),
                of_truth=None
                if entry.truth is None
                else float(entry.probabilities[index, entry.truth]),
                right=None if entry.truth is None else entry.predicted[index] == entry.truth,
                used=None if taken is None else index + 1 == taken and not referred,
                referred=None if taken is None else index + 1 == taken and referred,
                ran=None if taken is None else index + 1 <= taken,
            )
            for index, name in enumerate(self.exits)
        )
        return Card(
            name=entry.name,
            title=entry.title,
            answers=answers,
            probabilities=entry.probabilities,
            views=views,
            missing=missing,
            referred=entry.referred,
            leans_to=next((answer.label for answer in answers if answer.referred), None),
            synthetic=entry.image is not None and is_rendered(entry.image.path),
        )

    def _views(
        self,
        entry: GalleryImage,
        photograph: Photograph,
        maps: Sequence[tuple[NDArray[np.float32], str]],
    ) -> tuple[View, ...]:
        shown = photograph.shown
        height, width = shown.shape[:2]
        said = "of unknown class" if entry.truth is None else f"of {self.classes[entry.truth]}"
        alt = f"Photograph {said}: {entry.name}"
        views = [View("image", "image", alt, jpeg(shown), width, height)]
        mask = self._mask(entry)
        outline = None if mask is None else mask.astype(np.uint8)
        looked = self.exits if maps else ()  # empty without a network in PyTorch
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

    def _mask(self, entry: GalleryImage) -> Mask | None:
        if isinstance(self.masks, Absent) or entry.image is None:
            return None
        path = self.masks.of(entry.name)
        try:
            return None if path is None else read_mask(path, self.preprocessing, entry.image)
        except ImageError:
            return None
